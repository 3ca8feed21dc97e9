/**
 * One reference at one directory, served by this process: `ipfs-volume mount` where no daemon runs.
 *
 * The file system is mounted in a private directory, as a daemon's would be, and the volume's own directory (or file) is
 * bound from there to where the user wants it.
 */
import { mkdtemp, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CID } from 'multiformats/cid';
import { CodedError } from '../src/base/errors.ts';
import { createLogger } from '../src/base/log.ts';
import { lockStateDirectory } from '../src/base/state-lock.ts';
import type { ServeDirectory, ServedDirectory } from '../src/cli/serve-directory.ts';
import { kernelTransport } from '../src/fuse/kernel/kernel-transport.ts';
import { libfuseTransport } from '../src/fuse/libfuse/libfuse-transport.ts';
import { detach, runProgram } from '../src/fuse/run-program.ts';
import { resolveForMount } from '../src/volumes/resolve-for-mount.ts';
import { parseVolumeOptions } from '../src/volumes/volume-options.ts';
import { readConfig } from './config.ts';
import { openContent } from './daemon/content.ts';

/** The one name in the private mount. */
const VOLUME = 'volume';

export const serveDirectory: ServeDirectory = async (reference, directory, { volumeOptions, env, signal }) => {
  const config = readConfig(env);
  // Databases and sockets made from here on are root's alone.
  process.umask(0o077);
  const logger = createLogger(config.logLevel);
  const isPath = reference.startsWith('/') || reference.includes('://');
  const options = parseVolumeOptions(
    reference,
    { ...volumeOptions, [isPath ? 'path' : 'cid']: reference },
    { prefetch: config.prefetch, timeoutMs: config.readTimeoutMs },
  );
  await using undo = new AsyncDisposableStack();
  const lock = lockStateDirectory(config.stateDirectory);
  undo.defer(() => lock.release());
  const content = undo.use(await openContent(config, logger));
  const { cid, kind } = await resolveForMount(content.resolver, options, signal);
  const isDirectory = (await stat(directory)).isDirectory();
  if (isDirectory !== (kind === 'directory')) {
    const problem = isDirectory ? 'is a single file: give a file to mount it on' : 'is a directory, and this is a file';
    throw new CodedError('MOUNT_FAILED', `${directory}: ${reference} ${problem}`);
  }
  const { uid, gid, fileMode, dirMode, timeoutMs } = options;
  const spec = { name: VOLUME, root: CID.parse(cid), kind, uid, gid, fileMode, dirMode, timeoutMs };
  content.prefetcher.mounted(VOLUME, content.fileSystem.addVolume(spec), options);

  const privateDirectory = await mkdtemp(join(tmpdir(), 'ipfs-volume-mount-'));
  undo.defer(() => rmdir(privateDirectory));
  const transport = config.transport === 'kernel' ? kernelTransport() : libfuseTransport();
  const mounted = await transport.mount(content.fileSystem, privateDirectory, { fsName: 'ipfs-volume', logger });
  undo.defer(() => mounted.unmount());
  const bound = await runProgram('mount', ['--bind', join(privateDirectory, VOLUME), directory]);
  if (!bound.ok) throw new CodedError('MOUNT_FAILED', `cannot mount at ${directory}: ${bound.said}`);
  undo.defer(async () => {
    await detach(directory);
  });

  const owned = undo.move();
  let unmounted: Promise<void> | undefined;
  return {
    ended: mounted.ended.then(() => undefined),
    unmount: () => {
      unmounted ??= owned.disposeAsync();
      return unmounted;
    },
  } satisfies ServedDirectory;
};
