/** `ipfs-volume store ls|rm|gc|export`: what the local store keeps, giving it back, and taking it elsewhere. */
import type { Command } from 'commander';
import { formatBytes, formatCount } from '../../base/units.ts';
import { parseCidText } from '../../blocks/parse-cid.ts';
import type { VolumeStatus } from '../../volumes/control-api.ts';
import type { CliContext } from '../cli-parts.ts';
import { type DaemonOptions, print, printJson, withDaemon, withDaemonOptions } from '../daemon-command.ts';
import { exportCar } from '../export-car.ts';
import { formatTable } from '../table.ts';

const EXPORT_DETAILS = `
The CAR (version 1) has that one root, and "ipfs dag import" and "ipfs-volume import" take it: content goes to a Kubo node or
another machine under the same CID. CID may be any that the store has, with all that lies below it.`;

/** Whether a volume's content is `root`, or lies below it. Both may be written in any base, and as version 0 or 1. */
function isOfRoot({ cid, reference }: VolumeStatus, root: string): boolean {
  const wanted = normal(root);
  return [cid, reference.split('/')[2]].some((own) => own && normal(own) === wanted);
}

function normal(cid: string): string {
  try {
    return parseCidText(cid).toV1().toString();
  } catch {
    // A name.
    return cid;
  }
}

export function registerStore(program: Command, context: CliContext): void {
  const store = program.command('store').description("look at and tidy the daemon's local store");
  const list = store.command('ls').description('list the roots that the store keeps').action(listRoots);
  const remove = store.command('rm <cid>').description('forget a root; "store gc" frees its blocks').action(removeRoot);
  const collect = store.command('gc').description('free the blocks that no kept root needs').action(collectGarbage);
  const exported = store
    .command('export <cid> [file]')
    .description('write all of a CID that the store has to a CAR, or to standard output ("-")')
    .addHelpText('after', EXPORT_DETAILS)
    .action((cid: string, file = '-', options: DaemonOptions) => exportCar(cid, file, options, context));
  for (const command of [list, remove, collect, exported]) withDaemonOptions(command);

  async function listRoots(options: DaemonOptions): Promise<void> {
    const roots = await withDaemon(options, context, (daemon) => daemon.storedRoots());
    if (options.json) return printJson(context, roots);
    const rows = roots.map((root) => [root.cid, formatBytes(root.bytes), String(root.blocks), root.addedAt]);
    print(context, ...formatTable([['CID', 'SIZE', 'BLOCKS', 'ADDED'], ...rows]));
  }

  async function removeRoot(cid: string, options: DaemonOptions): Promise<void> {
    const mounted = await withDaemon(options, context, async (daemon) => {
      await daemon.removeRoot(cid);
      // It is removed: that nobody can say who reads it is no failure.
      const volumes = options.json
        ? []
        : await daemon.status().then(
            (status) => status.volumes,
            () => [],
          );
      return volumes.filter((volume) => volume.mounts > 0 && isOfRoot(volume, cid)).map(({ name }) => name);
    });
    if (options.json) return printJson(context, { removed: true });
    if (mounted.length > 0) {
      const names = `${mounted.join(', ')} ${mounted.length === 1 ? 'is' : 'are'}`;
      context.process.stderr.write(`${names} mounted: what "store gc" frees of it must come from a source again\n`);
    }
    print(context, `forgot ${cid}; its blocks stay until "ipfs-volume store gc"`);
  }

  async function collectGarbage(options: DaemonOptions): Promise<void> {
    const result = await withDaemon(options, context, (daemon) => daemon.collectGarbage());
    if (options.json) printJson(context, result);
    else print(context, `freed ${formatBytes(result.freedBytes)} in ${formatCount(result.removedBlocks, 'block')}`);
  }
}
