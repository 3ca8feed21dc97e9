/**
 * Whether a disk answers, asked from another thread. A disk that is dying, a network drive whose server is gone, a file
 * system that is frozen for a snapshot: whoever touches such a one stands still in the kernel, and cannot always be killed.
 * The thread that answers everybody must not be the one that finds out.
 *
 * Some disks take what they do not give, and the other way round: a file system that is frozen can be read, and one whose
 * device hangs changes an inode in memory. Whatever else is wrong with a disk (read-only, gone) is an answer: whoever uses it
 * next is told.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** In a directory whose disk is asked; holds nothing. */
export const PULSE_NAME = 'pulse';
/** The least that every disk and file system reads directly. */
const PAGE_BYTES = 4096;

/** O_DIRECT wants memory at a multiple of the disk's sector; of what Node offers, only this begins at a page. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer } };
};
let page: Uint8Array | undefined;

/** Resolves once the disk that holds `directory` has done both. */
export async function diskAnswers(directory: string): Promise<void> {
  await diskTakes(directory);
  await diskGives(directory);
}

/** Resolves once the file system that holds `path` has taken a trifling change, which may be never. */
export async function diskTakes(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

/**
 * Resolves once the disk that holds `directory` has given a page of a small file there, past the system's cache, which may
 * be never; a thread that waits for a device so cannot be killed. The file is made where it is missing; the directory is
 * not.
 */
export async function diskGives(directory: string): Promise<void> {
  const path = join(directory, PULSE_NAME);
  try {
    page ??= new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 0, PAGE_BYTES);
    await using file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
    const { bytesRead } = await file.read(page, 0, PAGE_BYTES, 0);
    // Of a file that a full disk, or a power cut, left empty nothing is asked of the device.
    if (bytesRead < PAGE_BYTES) await make(directory, path).catch(() => undefined);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A file system that reads through its cache alone is asked what its server, if it has one, is asked for.
    if (code === 'EINVAL') await stat(path).catch(() => undefined);
    // One whose disk was taken away is not begun again by this.
    else if (code === 'ENOENT') await make(directory, path).catch(() => undefined);
  }
}

/** Whole or not at all; of noise, since some file systems keep no zeros. */
async function make(directory: string, path: string): Promise<void> {
  await stat(directory);
  const begun = `${path}.new`;
  await writeFile(begun, randomBytes(PAGE_BYTES), { mode: 0o600, flush: true });
  await rename(begun, path);
}

/** Waits for `answer`; each `everyMs` in which it has not come `onSilence` is told how long that has been. */
export async function untilDiskAnswers(
  answer: Promise<void>,
  everyMs: number,
  onSilence: (silentMs: number) => void,
): Promise<void> {
  const sinceMs = performance.now();
  const timer = setInterval(() => onSilence(performance.now() - sinceMs), everyMs);
  try {
    await answer;
  } finally {
    clearInterval(timer);
  }
}
