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

/**
 * Mount points of type fuse (or `fuse.NAME`), last mounted first, from the text of /proc/self/mountinfo read as latin1
 * (proc(5): the point is field 5, the type stands behind ` - `, special characters are in octal).
 */
export function parseMountTable(mountinfo: string): string[] {
  const found: string[] = [];
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const point = before.split(' ')[4];
    if (point !== undefined && /^fuse[. ]/.test(after)) found.push(unescapeOctal(point));
  }
  return found.reverse();
}

/** The table has paths without symlinks. The directory itself is none, and may not be looked at. */
async function canonical(directory: string): Promise<string> {
  const path = resolve(directory);
  const above = await realpath(dirname(path)).catch(() => dirname(path));
  return join(above, basename(path));
}

/** `\040` and the like back to bytes, and the bytes to UTF-8. */
function unescapeOctal(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
