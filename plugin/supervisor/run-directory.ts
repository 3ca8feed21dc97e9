/**
 * The supervisor's run directory: the daemons' sockets, and what of the FUSE connection outlives a daemon. Root's alone,
 * in memory where the machine has /run, and short, since a socket's path has 107 bytes.
 *
 * It has one name for each state directory, whose lock is held, so that what a supervisor that was killed has left there
 * is found and removed by the next one. In each its supervisor holds a lock, which the kernel takes back when its process
 * dies: by that what others have left is known, of whichever state directory, and removed as well. One without that lock's file
 * is about to be made, or an earlier version's, and stays.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type StateLock, tryLock } from '../../src/base/state-lock.ts';
import { behindDoor } from './mount-root-lock.ts';

const PLACE = '/run';
const PREFIX = 'ipfs-volume-';
/** In each; held by whoever made it. */
const HELD = 'held.db';
/** Removed in one go, at about a millisecond each; a supervisor that is killed leaves one. */
const SWEPT = 64;

export interface RunDirectory {
  readonly path: string;
  /** Lets go of it and removes it. */
  remove(): void;
}

/** Where it is, on a machine with /run. */
export function runDirectoryOf(stateDirectory: string): string {
  return join(PLACE, `${PREFIX}${createHash('sha256').update(stateDirectory).digest('hex').slice(0, 12)}`);
}

/**
 * Makes it: anew, for whoever holds the lock of `stateDirectory`; with undefined one of a new name. Removes what supervisors that were
 * killed have left.
 */
export function makeRunDirectory(stateDirectory: string | undefined): RunDirectory {
  try {
    return behindDoor(() => {
      const made = make(stateDirectory);
      sweep();
      return made;
    });
  } catch {
    // The door could not be had, which is only for tidiness.
    return make(stateDirectory);
  }
}

function make(stateDirectory: string | undefined): RunDirectory {
  const path = makeDirectory(stateDirectory);
  let lock: StateLock | undefined;
  try {
    lock = tryLock(join(path, HELD));
  } catch {
    // Where there is no room for it others leave the directory alone.
  }
  return {
    path,
    remove: () => {
      lock?.release();
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function makeDirectory(stateDirectory: string | undefined): string {
  try {
    if (stateDirectory === undefined) return mkdtempSync(join(PLACE, PREFIX));
    const directory = runDirectoryOf(stateDirectory);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  } catch {
    // Where others may write too, a name that can be foretold could be taken already.
    return mkdtempSync(join(tmpdir(), PREFIX));
  }
}

/** Only behind the door: nobody else is about to make one of them anew. */
function sweep(): void {
  if (!existsSync(PLACE)) return;
  const names = readdirSync(PLACE).filter((name) => name.startsWith(PREFIX) && existsSync(join(PLACE, name, HELD)));
  for (const path of names.slice(0, SWEPT).map((name) => join(PLACE, name))) {
    try {
      const left = tryLock(join(path, HELD));
      if (!left) continue;
      rmSync(path, { recursive: true, force: true });
      left.release();
    } catch {
      // Another user's, or damaged: not ours to remove.
    }
  }
}
