/**
 * One supervisor a mount root: the next one would take the living mount for one that a dead daemon left behind.
 *
 * The lock is a file in memory, named for the mount root's real path, and not in the mount root, which must stay empty.
 * The kernel takes it back when its process dies, and the empty file stays then, until whoever locks next removes it; who
 * releases it removes the file. So that nobody removes it from below another who has just opened it, one lock for all of
 * them, whose file stays, is held for the moment of either.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '../../src/base/errors.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { type StateLock, tryLock } from '../../src/base/state-lock.ts';
import { canonical } from '../../src/fuse/mount-table.ts';

const NAME = 'ipfs-volume-mount-roots';
const DOOR = 'door.db';
/** Held for less than a millisecond at a time, or, with files to remove, some tens of them. */
const DOOR_WAIT_MS = 5000;
/** Looked at in one go, at less than a millisecond each; a start that is killed leaves one. */
const SWEPT_FILES = 64;

/**
 * `holder` is what others are told of us, such as where we listen.
 * @throws STATE_LOCKED where another process holds it, MOUNT_FAILED where there can be no lock
 */
export async function lockMountRoot(mountRoot: string, holder: string): Promise<StateLock> {
  const path = await canonical(mountRoot);
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32);
  let lock: StateLock | undefined;
  let directory: string;
  try {
    directory = lockDirectory();
    const door = openDoor(directory);
    try {
      lock = tryLock(join(directory, `${name}.db`));
      ignoreFailure(() => sweep(directory, `${name}.db`));
    } finally {
      door.release();
    }
  } catch (cause) {
    throw new CodedError('MOUNT_FAILED', `the mount root ${path} cannot be locked`, { cause });
  }
  const note = join(directory, `${name}.txt`);
  if (!lock) {
    throw new CodedError(
      'STATE_LOCKED',
      `the mount root ${path} is in use by another ipfs-volume (${readNote(note)}): ` +
        'stop it, or set IPFS_VOLUME_MOUNT_ROOT to another',
    );
  }
  const { release } = lock;
  // Only words: a file system that is full must not keep anybody from serving.
  ignoreFailure(() => writeFileSync(note, `process ${process.pid}, ${holder}`));
  return {
    release: () => {
      ignoreFailure(() => rmSync(note, { force: true }));
      let door: StateLock | undefined;
      ignoreFailure(() => {
        door = openDoor(directory);
        rmSync(join(directory, `${name}.db`), { force: true });
      });
      release();
      door?.release();
    },
  };
}

/** Does `work`, which is quick, while no other supervisor begins or ends. @throws where that cannot be had, and as `work` */
export function behindDoor<T>(work: () => T): T {
  const door = openDoor(lockDirectory());
  try {
    return work();
  } finally {
    door.release();
  }
}

/** What whoever takes or gives back a lock in there holds meanwhile. */
function openDoor(directory: string): StateLock {
  const door = tryLock(join(directory, DOOR), DOOR_WAIT_MS);
  if (!door) throw new Error(`another process has held ${directory}/${DOOR} for ${DOOR_WAIT_MS / 1000} s`);
  return door;
}

/** Removes what killed processes left, some of it each time. Only behind the door: nobody else is about to lock one of them. */
function sweep(directory: string, own: string): void {
  const files = readdirSync(directory).filter((file) => file.endsWith('.db') && file !== DOOR && file !== own);
  // Any of them: those that are held must not always be the ones looked at.
  const from = Math.floor(Math.random() * (Math.max(0, files.length - SWEPT_FILES) + 1));
  for (const file of files.slice(from, from + SWEPT_FILES)) {
    const left = tryLock(join(directory, file));
    if (!left) continue;
    rmSync(join(directory, file.replace(/db$/, 'txt')), { force: true });
    rmSync(join(directory, file), { force: true });
    left.release();
  }
}

/** Ours alone, the same for all mount roots. In the temp directory others may have made it before us. */
function lockDirectory(): string {
  let directory = join('/run', NAME);
  try {
    makeDirectory(directory, 0o700);
  } catch {
    directory = join(tmpdir(), NAME);
    makeDirectory(directory, 0o700);
  }
  const { uid } = lstatSync(directory);
  if (uid !== process.getuid?.()) throw new Error(`${directory} belongs to user ${uid}: remove it`);
  return directory;
}

/** The holder may be about to write it. */
function readNote(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return 'which has just begun, or ends';
  }
}

function ignoreFailure(action: () => void): void {
  try {
    action();
  } catch {
    // As the caller says.
  }
}
