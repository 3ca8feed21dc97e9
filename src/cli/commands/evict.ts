/** `ipfs-volume evict VOLUME`: gives back what the cache holds of a volume. The volume stays, and fetches again. */
import type { Command } from 'commander';
import { formatBytes } from '../../base/units.ts';
import type { CliContext } from '../cli-parts.ts';
import {
  type DaemonOptions,
  type JsonOption,
  print,
  printJson,
  withDaemon,
  withJsonOption,
  withSocketOption,
} from '../daemon-command.ts';

export function registerEvict(program: Command, context: CliContext): void {
  const command = program
    .command('evict <volume>')
    .description("give back the cache's space that a volume takes")
    .action((volume: string, options: DaemonOptions & JsonOption) => evict(volume, options, context));
  withJsonOption(withSocketOption(command));
}

async function evict(volume: string, options: DaemonOptions & JsonOption, context: CliContext): Promise<void> {
  const result = await withDaemon(options, context, (daemon) => daemon.evict(volume));
  if (options.json) printJson(context, result);
  else {
    const { freedBytes, keptBytes } = result;
    const stays =
      keptBytes > 0
        ? `; ${formatBytes(keptBytes)} stay: the local store keeps them, or another volume has them too`
        : '';
    print(context, `${volume}: freed ${formatBytes(freedBytes)}${stays}`);
  }
}
