/** Whether a state directory can be used, found by other threads: a disk that does not answer keeps them, and nobody else. */
import { readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { CodedError } from '../../src/base/errors.ts';

/**
 * Changes a trifle in `directory`, and gives its inode. Of a disk that is not mounted the directory below is there, and empty, and
 * nothing may be begun anew in it: so it must be `inode`, where that is known.
 * @throws CONFIG_INVALID with the disk's word; never resolves on one that does not answer
 */
export async function useDirectory(directory: string, inode?: number): Promise<number> {
  try {
    const now = new Date();
    await utimes(directory, now, now).catch(notOurs);
    const { ino } = await stat(directory);
    if (inode !== undefined && ino !== inode) throw new Error('another directory is in its place: mount its disk');
    return ino;
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', `the state directory ${directory} cannot be used`, { cause });
  }
}

/** Who may write in a directory that is another's may not change its times: that is no trouble of the disk's. */
function notOurs(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPERM' && error.code !== 'EACCES') throw error;
}

/** The same for daemons one after the other, who are to find the one that the first of them noted in `file`. */
export async function useSameDirectory(directory: string, file: string): Promise<void> {
  const noted = await readFile(file, 'utf8').catch(() => undefined);
  const inode = await useDirectory(directory, noted === undefined ? undefined : Number(noted));
  // Where it cannot be noted it is not checked.
  if (noted === undefined) await writeFile(file, String(inode), { mode: 0o600 }).catch(() => undefined);
}
