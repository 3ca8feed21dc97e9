/**
 * Mounts that a dead daemon left behind: every access to them fails with ENOTCONN, and a new mount on top would hide
 * one below. They are found in the kernel's own table, never by looking at the path, and detached innermost first.
 *
 * To be called before anything of ours is mounted: whatever FUSE mount is under the directory then is stale.
 */
import { readFile } from 'node:fs/promises';
import type { Logger } from '../base/log.ts';
import { detach } from './run-program.ts';

/**
 * Detaches all FUSE mounts on `directory` and below it. A mount that can't be detached is logged and left.
 * @returns how many were detached
 */
export async function detachStaleMounts(directory: string, logger: Logger): Promise<number> {
  const stale = fuseMountsUnder(await readFile('/proc/self/mountinfo', 'latin1'), directory);
  let detached = 0;
  for (const path of stale) {
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

/**
 * Mount points of type fuse (or `fuse.NAME`) on `directory` and below, last mounted first, from the text of
 * /proc/self/mountinfo read as latin1 (proc(5): fields 5 and, behind ` - `, the type; special characters in octal).
 */
export function fuseMountsUnder(mountinfo: string, directory: string): string[] {
  const found: string[] = [];
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const point = before.split(' ')[4];
    if (point === undefined || !/^fuse(\.|\s|$)/.test(after)) continue;
    const path = unescapeOctal(point);
    if (path === directory || path.startsWith(`${directory}/`)) found.push(path);
  }
  return found.reverse();
}

/** `\040` and the like back to bytes, and the bytes to UTF-8. */
function unescapeOctal(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
