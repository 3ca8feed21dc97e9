/** `ipfs-volume add PATH`: a file or directory into the daemon's local store; its root CID on stdout, last. */
import type { Command } from 'commander';
import { CodedError, hasCode } from '../../base/errors.ts';
import { decodeProfile } from '../../prefetch/boot-profile.ts';
import { SHIPPED_ENTRIES } from '../../prefetch/shipped-profile.ts';
import type { RootFiles } from '../add/add-tree.ts';
import type { CliContext } from '../cli-parts.ts';
import { type DaemonOptions, print, printJson, withDaemon, withDaemonOptions } from '../daemon-command.ts';
import { transferProgress } from '../transfer-progress.ts';

interface AddOptions extends DaemonOptions {
  readonly metadata: boolean;
  readonly skipSpecial?: boolean;
  readonly profile?: boolean;
}

const DETAILS = `
Everything below PATH is added, hidden files too; symlinks are kept as symlinks, except PATH itself, which is followed.
The CID is the one of Kubo's profile unixfs-v1-2025: "ipfs add -r --hidden" gives it with --no-metadata, and
"ipfs add -r --hidden --raw-leaves=false --preserve-mode --preserve-mtime" without.

With --profile the daemon's boot profile of the same content (recorded when a container ran on it, or imported) goes into
the root directory as .ipfs-volume-profile, and the first mount on any host finds it; its small blocks stand together in
.ipfs-volume-start, which takes no room of its own in IPFS, so that they are fetched in a few answers. The root CID is then
another one. To keep it, add the file that "profile export" writes by itself and name its CID by the volume option profile=.`;

export function registerAdd(program: Command, context: CliContext): void {
  const command = program
    .command('add <path>')
    .description("add a file or directory to the daemon's local store and print its CID")
    .option('--no-metadata', 'leave out mode and mtime')
    .option('--skip-special', 'pass over devices, sockets and fifos in place of refusing them')
    .option('--profile', 'ship the boot profile that the daemon has of this very content')
    .addHelpText('after', DETAILS)
    .action((path: string, options: AddOptions) => add(path, options, context));
  withDaemonOptions(command);
}

async function add(path: string, options: AddOptions, context: CliContext): Promise<void> {
  const { stderr } = context.process;
  const signal = context.interrupted();
  // Loaded here: hashing and codecs are of no use to the other commands.
  const { uploadTree } = await import('../add/upload-tree.ts');
  const { measureTree } = await import('../add/measure-tree.ts');
  await withDaemon(options, context, async (daemon) => {
    const progress = transferProgress(stderr, 'adding', stderr.isTTY ? measureTree(path) : undefined);
    try {
      const result = await uploadTree(path, daemon, {
        keepMetadata: options.metadata,
        onSpecial: options.skipSpecial ? (skipped) => stderr.write(`skipped ${skipped}\n`) : undefined,
        // A terminal alone wants to know, and the counting is not for nothing.
        onProgress: stderr.isTTY ? progress.advance : undefined,
        rootFiles: options.profile ? profileFiles(options, context) : undefined,
        signal,
      });
      progress.stop();
      if (options.json) printJson(context, { cid: result.roots[0], blocks: result.blocks, bytes: result.bytes });
      else print(context, ...result.roots);
    } finally {
      progress.stop();
    }
  });
}

/** Asked for on a connection of its own: that of the upload is busy. */
function profileFiles(options: DaemonOptions, context: CliContext): RootFiles {
  return {
    names: SHIPPED_ENTRIES,
    async emitFor(root, sizesOf, emit) {
      const { emitProfileFiles } = await import('../add/profile-files.ts');
      const profile = await withDaemon(options, context, (daemon) => daemon.profile(root.toString())).catch((cause) => {
        const how = 'run a container on it first, or "ipfs-volume profile import" one';
        throw hasCode(cause, 'NOT_IN_STORE')
          ? new CodedError('NOT_IN_STORE', `the daemon has no boot profile of ${root}: ${how}`)
          : cause;
      });
      return emitProfileFiles(decodeProfile(JSON.stringify(profile)), sizesOf, emit);
    },
  };
}
