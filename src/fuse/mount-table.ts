/**
 * The kernel's table of mounts. It is asked instead of the paths: looking at a mount whose daemon is dead fails, and
 * looking at one's own waits for oneself.
 */
import { readFile, readlink, realpath } from 'node:fs/promises';
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

/** Where FUSE file systems of that source are mounted whole, not a directory of theirs, as this process sees it. */
export async function wholeMounts(source: string): Promise<string[]> {
  const entries = parseMountEntries(await readFile('/proc/self/mountinfo', 'latin1'));
  return entries.filter((entry) => entry.source === source && entry.root === '/').map(({ point }) => point);
}

/** True where a mount of any kind is exactly on `path`, as this process sees it. */
export async function isMountPoint(path: string): Promise<boolean> {
  const [table, real] = await Promise.all([readFile('/proc/self/mountinfo', 'latin1'), canonical(path)]);
  return table.split('\n').some((line) => unescapeOctal(line.split(' ')[4] ?? '') === real);
}

/** One FUSE mount. */
export interface MountEntry {
  /** `major:minor`, the same for all mounts of one file system. */
  readonly device: string;
  /** Which directory of the file system is mounted. */
  readonly root: string;
  readonly point: string;
  /** What it is a mount of, as whoever mounted it said: ours say `ipfs-volume`. */
  readonly source: string;
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
    const [, source = ''] = after.split(' ');
    found.push({ device, root: unescapeOctal(root), point: unescapeOctal(point), source: unescapeOctal(source) });
  }
  return found;
}

/** As many symlinks as Linux follows in a path. */
const LINK_LIMIT = 40;

/**
 * The table has paths without symlinks. A symlink can be read without a look at what it leads to, and a mount point is
 * not looked at. What is not there yet is taken as it is written.
 */
export async function canonical(directory: string, links = 0): Promise<string> {
  const path = resolve(directory);
  const link = links < LINK_LIMIT ? await readlink(path).catch(() => undefined) : undefined;
  if (link !== undefined) return canonical(resolve(await realAbove(path), link), links + 1);
  return join(await realAbove(path), basename(path));
}

/** The real path of the directory that holds `path`, or of as much of it as there is. */
async function realAbove(path: string): Promise<string> {
  const above = dirname(path);
  if (above === path) return above;
  return realpath(above).catch(async () => join(await realAbove(above), basename(above)));
}

/** `\040` and the like back to bytes, and the bytes to UTF-8. */
function unescapeOctal(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
