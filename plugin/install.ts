/** `npm run plugin:install [-- KEY=VALUE …]`: builds the managed plugin as `ipfs`, sets what is given, enables it. */
import { buildPlugin } from './build-plugin.ts';
import { docker, PLUGIN_NAME, requireEngine } from './docker.ts';

const settings = process.argv.slice(2);
const wrong = settings.find((setting) => !/^[A-Z_]+=/.test(setting));
if (wrong !== undefined) {
  console.error(`${wrong}: settings are KEY=VALUE, with the variables of the README`);
  process.exit(2);
}
await requireEngine();
await buildPlugin({ name: PLUGIN_NAME, say: (line) => console.error(line) });
if (settings.length > 0) await docker(['plugin', 'set', PLUGIN_NAME, ...settings]);
await docker(['plugin', 'enable', PLUGIN_NAME]);
console.log(`the plugin "${PLUGIN_NAME}" is enabled: docker run --rm -v <cid>:/data --volume-driver ${PLUGIN_NAME} …`);
