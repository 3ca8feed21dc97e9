/**
 * Mounts that a dead daemon left behind: every access to them fails with ENOTCONN, and a new mount on top would hide
 * one below. They are detached innermost first.
 *
 * To be called before anything of ours is mounted, by whoever holds the mount root's lock. A FUSE mount that is served
 * then is another program's, or an earlier daemon's whose end is not through yet: that one is waited for.
 */
import { setTimeout as after } from 'node:timers/promises';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { fuseMountsUnder } from './mount-table.ts';
import { detach, runProgram } from './run-program.ts';

/** A daemon whose supervisor was killed ends within milliseconds; one that still answers after this has somebody. */
const END_LIMIT_MS = 5000;
/** A daemon that says nothing within this hangs, or is dead in all but name. */
const ANSWER_LIMIT_MS = 2000;
const ASK_AGAIN_MS = 50;

/**
 * Detaches all FUSE mounts on `directory` and below it. A mount that can't be detached is logged and left.
 * @returns how many were detached
 * @throws MOUNT_FAILED where one of them is served; none is touched then
 */
export async function detachStaleMounts(directory: string, logger: Logger): Promise<number> {
  const paths = await fuseMountsUnder(directory);
  await Promise.all(paths.map(refuseServed));
  let detached = 0;
  for (const path of paths) {
    const end = await detach(path);
    if (end.ok) {
      detached++;
      logger.warn({ path }, 'detached a mount that a dead daemon left behind');
    } else {
      logger.error({ path, said: end.said }, 'a mount that a dead daemon left behind cannot be detached');
    }
  }
  return detached;
}

/** @throws MOUNT_FAILED where somebody answers for the mount on `path`, and goes on to */
async function refuseServed(path: string): Promise<void> {
  const limit = performance.now() + END_LIMIT_MS;
  while (await isServed(path)) {
    if (performance.now() > limit) {
      throw new CodedError(
        'MOUNT_FAILED',
        `on ${path} is a FUSE mount that another program serves: end that program, or set IPFS_VOLUME_MOUNT_ROOT to another directory`,
      );
    }
    await after(ASK_AGAIN_MS);
  }
}

/** Asks by statfs(2), which the kernel never answers by itself, and from another process, which may wait for ever. */
async function isServed(path: string): Promise<boolean> {
  const asked = runProgram('stat', ['--file-system', '--format=%T', path]);
  const { ok } = await Promise.race([asked, after(ANSWER_LIMIT_MS, { ok: false }, { ref: false })]);
  return ok;
}
