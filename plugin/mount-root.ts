/**
 * The directory under which all volumes stand: made, cleared of a dead daemon's mounts, and checked before it is mounted
 * on. A mount hides what lies under it, so a directory that holds something is refused rather than hidden.
 */
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CodedError } from '../src/base/errors.ts';
import type { Logger } from '../src/base/log.ts';
import { makeDirectory } from '../src/base/make-directory.ts';
import { detachStaleMounts } from '../src/fuse/stale-mounts.ts';

/** Directories whose content a machine needs: mounting there by a slip of a variable would stop it. */
const FORBIDDEN =
  /^\/(?:|bin|boot|dev|etc|home|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var(?:\/lib)?)$/;

/**
 * Makes `directory` ready to be mounted on, and gives its absolute path.
 *
 * @throws MOUNT_FAILED where it is not allowed, not empty, or cannot be made; the message says how to mend it.
 */
export async function prepareMountRoot(directory: string, logger: Logger): Promise<string> {
  const path = resolve(directory);
  if (FORBIDDEN.test(path)) {
    throw new CodedError(
      'MOUNT_FAILED',
      `the mount root ${path} is a directory of the system: set IPFS_VOLUME_MOUNT_ROOT to one of its own`,
    );
  }
  await detachStaleMounts(path, logger);
  let names: string[];
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
  return path;
}
