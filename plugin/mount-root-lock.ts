/**
 * One supervisor a mount root: the next one would take the living mount for one that a dead daemon left behind.
 *
 * The lock is a file in memory, named for the mount root's real path, and not in the mount root, which must stay empty.
 * The kernel takes it back when its process dies. The empty file stays: whoever removed it could remove it from below
 * another who has just opened it.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '../src/base/errors.ts';
import { makeDirectory } from '../src/base/make-directory.ts';
import { type StateLock, tryLock } from '../src/base/state-lock.ts';
import { canonical } from '../src/fuse/mount-table.ts';

const NAME = 'ipfs-volume-mount-roots';

/**
 * `holder` is what others are told of us, such as where we listen.
 * @throws STATE_LOCKED where another process holds it, MOUNT_FAILED where there can be no lock
 */
export async function lockMountRoot(mountRoot: string, holder: string): Promise<StateLock> {
  const path = await canonical(mountRoot);
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32);
  let lock: StateLock | undefined;
  let note: string;
  try {
    const directory = lockDirectory();
    note = join(directory, `${name}.txt`);
    lock = tryLock(join(directory, `${name}.db`));
  } catch (cause) {
    throw new CodedError('MOUNT_FAILED', `the mount root ${path} cannot be locked`, { cause });
  }
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
      release();
    },
  };
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
