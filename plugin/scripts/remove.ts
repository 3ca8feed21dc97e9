/** `npm run plugin:remove [-- [--name NAME] --force]`: the managed plugin and all its state. With volumes in use only by `--force`. */
import { removeOwnBaseImage } from './base-image.ts';
import { PLUGIN_NAME, runWithEngine } from './docker.ts';
import { removePlugin } from './install-plugin.ts';
import { scriptArguments } from './script-arguments.ts';

const { values } = scriptArguments('npm run plugin:remove -- [--name NAME] [--force]', {
  options: { name: { type: 'string', default: PLUGIN_NAME }, force: { type: 'boolean', default: false } },
});
await runWithEngine(async () => {
  try {
    await removePlugin(values.name, values);
  } finally {
    // An installation that failed leaves this and no plugin.
    await removeOwnBaseImage();
  }
  console.log(`removed the plugin "${values.name}" with its local store and cache`);
});
