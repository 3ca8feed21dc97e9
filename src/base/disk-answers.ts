/**
 * Whether a disk answers, asked from another thread. A disk that is dying, a network drive whose server is gone, a file
 * system that is frozen for a snapshot: whoever writes to such a one stands still in the kernel, and cannot be killed. The
 * thread that answers everybody must not be the one that finds out.
 */
import { utimes } from 'node:fs/promises';

/**
 * Resolves once the file system that holds `path` has taken a trifling change, which may be never. Whatever else is wrong
 * with it (read-only, gone) is an answer: whoever writes next is told.
 */
export async function diskAnswers(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

/** As `diskAnswers`; each `everyMs` in which it has not answered `onSilence` is told how long that has been. */
export async function untilDiskAnswers(
  path: string,
  everyMs: number,
  onSilence: (silentMs: number) => void,
): Promise<void> {
  const sinceMs = performance.now();
  const timer = setInterval(() => onSilence(performance.now() - sinceMs), everyMs);
  try {
    await diskAnswers(path);
  } finally {
    clearInterval(timer);
  }
}
