/** `npm run plugin:install [-- [--name NAME] KEY=VALUE …]`: builds the managed plugin as `ipfs`, sets what is given, enables it. */
import { parseArgs } from 'node:util';
import { PLUGIN_NAME, runWithEngine } from './docker.ts';
import { installPlugin } from './install-plugin.ts';

const { values, positionals: settings } = parseArgs({
  options: { name: { type: 'string', default: PLUGIN_NAME } },
  allowPositionals: true,
});
const wrong = settings.find((setting) => !/^[A-Z_]+=/.test(setting));
if (wrong !== undefined) {
  console.error(`${wrong}: settings are KEY=VALUE, with the variables of docs/REFERENCE.md`);
  process.exit(2);
}
await runWithEngine(async () => {
  const { name } = values;
  await installPlugin({ name, settings, say: (line) => console.error(line) });
  console.log(`the plugin "${name}" is enabled: docker run --rm -v <cid>:/data --volume-driver ${name} …`);
});
