/**
 * The directory under which all volumes stand: made, cleared of a dead daemon's mounts, and checked before it is mounted
 * on. A mount hides what lies under it, so a directory that holds something is refused rather than hidden.
 */
import { existsSync, rmdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { CodedError } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { detachStaleMounts } from '../../src/fuse/stale-mounts.ts';

/** Directories whose content a machine needs: mounting there by a slip of a variable would stop it. */
const FORBIDDEN =
  /^\/(?:|bin|boot|dev|etc|home|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var(?:\/lib)?)$/;

interface MountRoot {
  /** Absolute. */
  readonly path: string;
  /** Removes what was made of it here, for a start that fails later on. Not to be called while it is mounted on. */
  unmake(): void;
}

/**
 * Makes `directory` ready to be mounted on, for whoever holds its lock.
 *
 * @throws MOUNT_FAILED where it is not allowed, not empty, served by another program, or cannot be made; the message says
 *   how to mend it.
 */
export async function prepareMountRoot(directory: string, logger: Logger): Promise<MountRoot> {
  const path = resolve(directory);
  if (FORBIDDEN.test(path)) {
    throw new CodedError(
      'MOUNT_FAILED',
      `the mount root ${path} is a directory of the system: set IPFS_VOLUME_MOUNT_ROOT to one of its own`,
    );
  }
  await detachStaleMounts(path, logger);
  let names: string[];
  const missing = missingDirectories(path);
  try {
    makeDirectory(path, 0o755);
    names = await readdir(path);
  } catch (error) {
    throw new CodedError('MOUNT_FAILED', `the mount root ${path} cannot be used`, { cause: error });
  }
  if (names.length > 0) {
    throw new CodedError(
      'MOUNT_FAILED',
      `the mount root ${path} is not empty (it holds "${names[0]}"): empty it, or set IPFS_VOLUME_MOUNT_ROOT to another`,
    );
  }
  return { path, unmake: () => removeDirectories(missing) };
}

/** `path` and those above it that are not there, innermost first. */
function missingDirectories(path: string): string[] {
  const missing: string[] = [];
  for (let at = path; !existsSync(at) && at !== dirname(at); at = dirname(at)) missing.push(at);
  return missing;
}

function removeDirectories(paths: readonly string[]): void {
  try {
    for (const path of paths) rmdirSync(path);
  } catch {
    // Somebody uses it meanwhile.
  }
}
