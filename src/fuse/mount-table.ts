/**
 * The kernel's table of mounts. It is asked instead of the paths: looking at a mount whose daemon is dead fails, and
 * looking at one's own waits for oneself.
 */
import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** FUSE mounts on `directory` and below it as this process sees them, last mounted first. */
export async function fuseMountsUnder(directory: string): Promise<string[]> {
  const [table, path] = await Promise.all([readFile('/proc/self/mountinfo', 'latin1'), canonical(directory)]);
  return parseMountTable(table).filter((point) => point === path || point.startsWith(path === '/' ? '/' : `${path}/`));
}

/** True where a FUSE mount is exactly on `directory`, as this process sees it. */
export async function isFuseMountPoint(directory: string): Promise<boolean> {
  const [points, path] = await Promise.all([fuseMountsUnder(directory), canonical(directory)]);
  return points.includes(path);
}

/** One FUSE mount. */
export interface MountEntry {
  /** `major:minor`, the same for all mounts of one file system. */
  readonly device: string;
  /** Which directory of the file system is mounted. */
  readonly root: string;
  readonly point: string;
}

/** Mount points of type fuse (or `fuse.NAME`), last mounted first. */
export function parseMountTable(mountinfo: string): string[] {
  return parseMountEntries(mountinfo)
    .map(({ point }) => point)
    .reverse();
}

/**
 * Mounts of type fuse (or `fuse.NAME`), first mounted first, from the text of /proc/PID/mountinfo read as latin1 (proc(5):
 * device, root and point are fields 3 to 5, the type stands behind ` - `, special characters are in octal).
 */
export function parseMountEntries(mountinfo: string): MountEntry[] {
  const found: MountEntry[] = [];
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , device, root, point] = before.split(' ');
    if (device === undefined || root === undefined || point === undefined || !/^fuse[. ]/.test(after)) continue;
    found.push({ device, root: unescapeOctal(root), point: unescapeOctal(point) });
  }
  return found;
}

/** The table has paths without symlinks. The directory itself is none, and may not be looked at. */
export async function canonical(directory: string): Promise<string> {
  const path = resolve(directory);
  const above = await realpath(dirname(path)).catch(() => dirname(path));
  return join(above, basename(path));
}

/** `\040` and the like back to bytes, and the bytes to UTF-8. */
function unescapeOctal(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
