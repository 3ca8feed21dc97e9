/**
 * Where a mountpoint that the daemon tells of is seen from here. A managed plugin tells of its own namespace; the host has
 * the same mount below the engine's directory (`propagated-mount`), whose place is the engine's to choose.
 *
 * So all mounts of ours are asked for the directory: its name is a new volume's, which no other daemon has.
 */
import { basename, join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { wholeMounts } from '../fuse/mount-table.ts';
import { runProgram } from '../fuse/run-program.ts';

/** As every mount of ours calls its source. */
const FUSE_SOURCE = 'ipfs-volume';
/** One that says nothing within this hangs; ours answers for a name at once, without the network. */
const ANSWER_LIMIT_MS = 5000;

/** True where there is a mount that could be the daemon's. */
export async function hasCandidates(): Promise<boolean> {
  return (await wholeMounts(FUSE_SOURCE)).length > 0;
}

/** `mountpoint` as it is seen from here; undefined where no mount of ours has its name. */
export async function findMountpoint(mountpoint: string): Promise<string | undefined> {
  const paths = (await wholeMounts(FUSE_SOURCE)).map((root) => join(root, basename(mountpoint)));
  const seen = await Promise.all(paths.map(isThere));
  return paths.find((_, index) => seen[index]);
}

/** Asked from another process, which may wait for ever. */
async function isThere(path: string): Promise<boolean> {
  const asked = runProgram('stat', ['--format=%i', path]);
  const { ok } = await Promise.race([asked, after(ANSWER_LIMIT_MS, { ok: false }, { ref: false })]);
  return ok;
}
