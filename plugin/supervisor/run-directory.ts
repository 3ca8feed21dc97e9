/**
 * The supervisor's run directory: the daemons' sockets, and what of the FUSE connection outlives a daemon. Root's alone,
 * in memory where the machine has /run, and short, since a socket's path has 107 bytes.
 *
 * It has one name for each state directory, whose lock is held, so that what a supervisor that was killed has left there
 * is found and removed by the next one.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where it is, on a machine with /run. */
export function runDirectoryOf(stateDirectory: string): string {
  return `/run/ipfs-volume-${createHash('sha256').update(stateDirectory).digest('hex').slice(0, 12)}`;
}

/** One of a new name, for whoever does not hold that lock: it stays where its maker is killed. */
export function makeUnknownRunDirectory(): string {
  try {
    return mkdtempSync('/run/ipfs-volume-');
  } catch {
    return mkdtempSync(join(tmpdir(), 'ipfs-volume-'));
  }
}

/** Makes it anew, for whoever holds the lock of `stateDirectory`. */
export function makeRunDirectory(stateDirectory: string): string {
  const directory = runDirectoryOf(stateDirectory);
  try {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  } catch {
    // Where others may write too, a name that can be foretold could be taken already.
    return mkdtempSync(join(tmpdir(), 'ipfs-volume-'));
  }
}
