/** `npm run plugin:remove [-- [--name NAME] --force]`: the managed plugin and all its state. With volumes in use only by `--force`. */
import { parseArgs } from 'node:util';
import { PLUGIN_NAME, runWithEngine } from './docker.ts';
import { removePlugin } from './install-plugin.ts';

const { values } = parseArgs({
  options: { name: { type: 'string', default: PLUGIN_NAME }, force: { type: 'boolean', default: false } },
});
await runWithEngine(async () => {
  await removePlugin(values.name, values);
  console.log(`removed the plugin "${values.name}" with its local store and cache`);
});
