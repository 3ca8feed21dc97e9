/** `ipfs-volume evict VOLUME`: gives back what the cache holds of a volume. The volume stays, and fetches again. */
import type { Command } from 'commander';
import { formatBytes, formatCount } from '../../base/units.ts';
import type { Evicted } from '../../volumes/control-api.ts';
import type { CliContext } from '../cli-parts.ts';
import { type DaemonOptions, print, printJson, withDaemon, withDaemonOptions } from '../daemon-command.ts';

/** One line has room for so many. */
const NAMED_VOLUMES = 3;

export function registerEvict(program: Command, context: CliContext): void {
  const command = program
    .command('evict <volume>')
    .description("give back the cache's space that a volume takes")
    .action((volume: string, options: DaemonOptions) => evict(volume, options, context));
  withDaemonOptions(command);
}

async function evict(volume: string, options: DaemonOptions, context: CliContext): Promise<void> {
  const result = await withDaemon(options, context, (daemon) => daemon.evict(volume));
  if (options.json) printJson(context, result);
  else print(context, `${volume}: ${evictedText(result)}`);
}

/** `freed 12 MiB; 116 MiB stay: the volume "b" has them too` */
function evictedText({ freedBytes, keptBytes, sharedWith }: Evicted): string {
  const freed = `freed ${formatBytes(freedBytes)}`;
  if (keptBytes === 0) return freed;
  const names = sharedWith.slice(0, NAMED_VOLUMES).map((name) => `"${name}"`);
  const more = sharedWith.length - names.length;
  if (more > 0) names.push(formatCount(more, 'other'));
  const others = `the volume${sharedWith.length === 1 ? '' : 's'} ${names.join(', ')} ${sharedWith.length === 1 ? 'has' : 'have'} them too`;
  const why = names.length === 0 ? 'the local store keeps them' : `${others}, or the local store keeps them`;
  return `${freed}; ${formatBytes(keptBytes)} stay: ${why}`;
}
