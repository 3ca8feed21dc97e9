/** `ipfs-volume store ls|rm|gc`: what the local store keeps, and giving it back. */
import type { Command } from 'commander';
import { formatBytes, formatCount } from '../../base/units.ts';
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
import { formatTable } from '../table.ts';

export function registerStore(program: Command, context: CliContext): void {
  const store = program.command('store').description("look at and tidy the daemon's local store");
  const list = store.command('ls').description('list the roots that the store keeps').action(listRoots);
  const remove = store.command('rm <cid>').description('forget a root; "store gc" frees its blocks').action(removeRoot);
  const collect = store.command('gc').description('free the blocks that no kept root needs').action(collectGarbage);
  for (const command of [list, remove, collect]) withJsonOption(withSocketOption(command));

  async function listRoots(options: DaemonOptions & JsonOption): Promise<void> {
    const roots = await withDaemon(options, context, (daemon) => daemon.storedRoots());
    if (options.json) return printJson(context, roots);
    const rows = roots.map((root) => [root.cid, formatBytes(root.bytes), String(root.blocks), root.addedAt]);
    print(context, ...formatTable([['CID', 'SIZE', 'BLOCKS', 'ADDED'], ...rows]));
  }

  async function removeRoot(cid: string, options: DaemonOptions & JsonOption): Promise<void> {
    await withDaemon(options, context, (daemon) => daemon.removeRoot(cid));
    if (options.json) printJson(context, { removed: true });
    else print(context, `forgot ${cid}; its blocks stay until "ipfs-volume store gc"`);
  }

  async function collectGarbage(options: DaemonOptions & JsonOption): Promise<void> {
    const result = await withDaemon(options, context, (daemon) => daemon.collectGarbage());
    if (options.json) printJson(context, result);
    else print(context, `freed ${formatBytes(result.freedBytes)} in ${formatCount(result.removedBlocks, 'block')}`);
  }
}
