/** `npm run plugin:install [-- [--name NAME] KEY=VALUE …]`: builds the managed plugin as `ipfs`, sets what is given, enables it. */
import { PLUGIN_NAME, runWithEngine } from './docker.ts';
import { installPlugin } from './install-plugin.ts';
import { settingsProblem } from './install-settings.ts';
import { scriptArguments, wrongUsage } from './script-arguments.ts';

const { values, positionals: settings } = scriptArguments('npm run plugin:install -- [--name NAME] [KEY=VALUE …]', {
  options: { name: { type: 'string', default: PLUGIN_NAME } },
  allowPositionals: true,
});
const problem = settingsProblem(settings);
if (problem !== undefined) wrongUsage(problem);
await runWithEngine(async () => {
  const { name } = values;
  await installPlugin({ name, settings, say: (line) => console.error(line) });
  console.log(`the plugin "${name}" is enabled: docker run --rm -v <cid>:/data --volume-driver ${name} …`);
});
