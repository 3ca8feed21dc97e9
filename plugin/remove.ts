/** `npm run plugin:remove [-- --force]`: the managed plugin and all its state. With volumes in use only by `--force`. */
import { parseArgs } from 'node:util';
import { docker, PLUGIN_NAME, requireEngine } from './docker.ts';

const { values } = parseArgs({ options: { force: { type: 'boolean', default: false } } });
const force = values.force ? ['--force'] : [];
await requireEngine();
await docker(['plugin', 'disable', ...force, PLUGIN_NAME]).catch((error: Error) => {
  if (!/already disabled/.test(error.message)) throw error;
});
await docker(['plugin', 'rm', ...force, PLUGIN_NAME]);
console.log(`removed the plugin "${PLUGIN_NAME}" with its local store and cache`);
