/** `ipfs-volume profile show|export|import`: boot profiles, and moving them between hosts. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { formatCount } from '../../base/units.ts';
import type { CliContext } from '../cli-parts.ts';
import {
  type DaemonOptions,
  print,
  printJson,
  withDaemon,
  withDaemonOptions,
  withSocketOption,
} from '../daemon-command.ts';
import { inputError } from '../input-error.ts';
import { formatTable } from '../table.ts';

export function registerProfile(program: Command, context: CliContext): void {
  const profile = program.command('profile').description('boot profiles: what a volume reads first');
  const show = profile
    .command('show [name]')
    .description('list the profiles, or print the one of a volume, root CID or name')
    .action(async (name: string | undefined, options: DaemonOptions) => {
      if (name !== undefined) {
        return printJson(context, await withDaemon(options, context, (daemon) => daemon.profile(name)));
      }
      const profiles = await withDaemon(options, context, (daemon) => daemon.profiles());
      if (options.json) return printJson(context, profiles);
      const rows = profiles.map((each) => [each.name, each.root, String(each.blocks), String(each.runs)]);
      print(context, ...formatTable([['NAME', 'ROOT', 'BLOCKS', 'RUNS'], ...rows]));
    });
  const exported = profile
    .command('export <name> [file]')
    .description('write the profile of a volume, root CID or name to a file, or to stdout')
    .action(async (name: string, file: string | undefined, options: DaemonOptions) => {
      const found = await withDaemon(options, context, (daemon) => daemon.profile(name));
      if (file === undefined) return printJson(context, found);
      await writeFile(file, `${JSON.stringify(found, null, 1)}\n`).catch((error: unknown) => {
        throw inputError(file, error);
      });
    });
  const imported = profile
    .command('import <file>')
    .description('keep a profile for the root that it names')
    .option('--name <name>', 'and under this name, for the volume option profile=')
    .action(async (file: string, options: DaemonOptions & { readonly name?: string }) => {
      const text = await readFile(file, 'utf8').catch((error: unknown) => {
        throw inputError(file, error);
      });
      const result = await withDaemon(options, context, (daemon) => daemon.importProfile(text, options.name));
      if (options.json) printJson(context, result);
      else print(context, `${result.name}: ${formatCount(result.blocks, 'block')} of ${result.root}`);
    });
  withDaemonOptions(show);
  withSocketOption(exported);
  withDaemonOptions(imported);
}
