/**
 * Mounts that a dead daemon left behind: every access to them fails with ENOTCONN, and a new mount on top would hide
 * one below. They are detached innermost first.
 *
 * To be called before anything of ours is mounted: whatever FUSE mount is under the directory then is stale.
 */
import type { Logger } from '../base/log.ts';
import { fuseMountsUnder } from './mount-table.ts';
import { detach } from './run-program.ts';

/**
 * Detaches all FUSE mounts on `directory` and below it. A mount that can't be detached is logged and left.
 * @returns how many were detached
 */
export async function detachStaleMounts(directory: string, logger: Logger): Promise<number> {
  let detached = 0;
  for (const path of await fuseMountsUnder(directory)) {
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
