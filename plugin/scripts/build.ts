/** `npm run plugin:build [-- --name NAME --platform OS/ARCH]`: the managed plugin, not enabled, ready for `docker plugin push`. */
import { buildPlugin } from './build-plugin.ts';
import { runWithEngine } from './docker.ts';
import { scriptArguments } from './script-arguments.ts';

const { values } = scriptArguments('npm run plugin:build -- [--name NAME] [--platform OS/ARCH]', {
  options: { name: { type: 'string', default: 'ipfs-volume:latest' }, platform: { type: 'string' } },
});
await runWithEngine(async () => {
  await buildPlugin({ ...values, platform: values.platform, say: (line) => console.error(line) });
  console.log(`built ${values.name}`);
});
