/**
 * One process a state directory: two would each believe its own state file.
 *
 * Node has no flock(2), but SQLite locks its files by fcntl(2): an exclusive transaction on a small database of its own is
 * a lock that the kernel takes back when the process dies, however it does.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CodedError } from './errors.ts';
import { makeDirectory } from './make-directory.ts';

/** SQLite's result code for what another process holds (sqlite.org/rescode.html); extended ones have more above a byte. */
const SQLITE_BUSY = 5;

export interface StateLock {
  release(): void;
}

/**
 * Makes `directory` (0700) where it is missing. `part`: the whole of it, or, for a daemon whose supervisor holds that, what
 * daemons have of it one after the other: one that hangs may outlive its supervisor.
 * @throws STATE_LOCKED where another process holds it, CONFIG_INVALID
 */
export function lockStateDirectory(directory: string, part: 'whole' | 'daemon' = 'whole'): StateLock {
  let lock: StateLock | undefined;
  try {
    makeDirectory(directory, 0o700);
    lock = tryLock(join(directory, part === 'whole' ? 'lock.db' : 'daemon.db'));
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', `the state directory ${directory} cannot be used`, { cause });
  }
  if (lock) return lock;
  throw new CodedError(
    'STATE_LOCKED',
    `the state directory ${directory} is in use by another ipfs-volume: stop it, or set IPFS_VOLUME_STATE_DIR to another`,
  );
}

/** The lock whose file is `path`; undefined where somebody holds it, still after `waitMs`. @throws why the file cannot be used */
export function tryLock(path: string, waitMs = 0): StateLock | undefined {
  const database = new DatabaseSync(path, { timeout: waitMs });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) throw error;
    return undefined;
  }
  return { release: () => database.close() };
}
