/**
 * Where `mount` mounts: an empty directory, or for a single file an empty file. A mount hides what lies under it, so that
 * what holds something is refused, as for the mount root.
 */
import { readdirSync, type Stats, statSync } from 'node:fs';
import { CodedError } from '../base/errors.ts';
import { isMountPoint } from '../fuse/mount-table.ts';
import { inputError } from './input-error.ts';

/** @throws INPUT_INVALID where it is not there, MOUNT_FAILED where something would be hidden */
export async function checkMountTarget(target: string): Promise<Stats> {
  // First: a dead mount cannot be looked at, and a hung one must not be.
  if (await isMountPoint(target)) {
    throw new CodedError(
      'MOUNT_FAILED',
      `${target} is a mount already: unmount it (umount ${target}), or give another`,
    );
  }
  let stat: Stats;
  let held: string | undefined;
  try {
    stat = statSync(target);
    if (stat.isDirectory()) held = readdirSync(target)[0];
  } catch (error) {
    throw inputError(target, error);
  }
  if (held !== undefined) {
    throw new CodedError('MOUNT_FAILED', `${target} is not empty (it holds "${held}"): empty it, or give another`);
  }
  if (stat.isFile() && stat.size > 0) {
    throw new CodedError('MOUNT_FAILED', `${target} is a file that is not empty: give an empty one to mount on`);
  }
  return stat;
}
