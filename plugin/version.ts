/** The version, from package.json: bundled with the code, so that it is the code's own. */
import packageJson from '../package.json' with { type: 'json' };

export const VERSION: string = packageJson.version;
