/**
 * The transport over fuse-native (libfuse 2.9): for machines where mount(8) is not allowed but fusermount is, for a Mac,
 * and as the peer that the kernel transport is measured against.
 *
 * What it cannot do, by its library: interrupts (whoever waits can be killed only when its data or time-out comes),
 * READDIRPLUS, nanoseconds, times before 1970 (shown as 1970), names and symlink targets that are not UTF-8, caching for
 * good, and surviving its process.
 */
import { CodedError } from '../../base/errors.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { isFuseMountPoint } from '../mount-table.ts';
import { detach } from '../run-program.ts';
import type { FuseTransport, MountEnd, MountedFileSystem, MountOptions } from '../transport.ts';
import { loadFuseNative, type NativeMount } from './fuse-native.ts';
import { PathOperations } from './path-operations.ts';

/** libfuse does not say when its mount goes away; the kernel's table does, looked at once in this time. */
const WATCH_INTERVAL_MS = 500;

/**
 * How long the kernel keeps a name and its attributes. One value holds for all names, those in the root too, where a name
 * that is gone may so be seen for a second longer (its content may not: paths are walked anew). Without it, a `tar` of
 * 10,000 files makes 340,000 requests.
 */
const KEPT_SECONDS = '1.0';

/** The transport over the optional package fuse-native. */
export function libfuseTransport(): FuseTransport {
  return { name: 'fuse-native', mount };
}

async function mount(fileSystem: FileSystem, directory: string, options: MountOptions): Promise<MountedFileSystem> {
  const Fuse = await loadFuseNative();
  const paths = new PathOperations(fileSystem, options);
  const native = new Fuse(directory, paths.operations(), {
    allowOther: true,
    defaultPermissions: true,
    // The module passes on no other options, but this one as it is written.
    fsname: `${options.fsName},ro,nosuid,nodev,use_ino`,
    entryTimeout: KEPT_SECONDS,
    attrTimeout: KEPT_SECONDS,
    timeout: false,
  });
  await new Promise<void>((resolve, reject) => {
    native.mount((error) => {
      if (!error) return resolve();
      const remedy =
        'fuse-native needs root, or fusermount with /dev/fuse readable and user_allow_other in /etc/fuse.conf';
      reject(
        new CodedError('MOUNT_FAILED', `cannot mount ${directory}: ${error.message} (${remedy})`, { cause: error }),
      );
    });
  });
  return watched(native, paths, directory);
}

function watched(native: NativeMount, paths: PathOperations, directory: string): MountedFileSystem {
  const { promise: ended, resolve } = Promise.withResolvers<MountEnd>();
  let asked = false;
  const look = async (): Promise<void> => {
    if (await isFuseMountPoint(directory)) return;
    clearInterval(timer);
    paths.close();
    resolve(asked ? 'unmounted' : 'lost');
  };
  const timer = setInterval(() => void look().catch(() => undefined), WATCH_INTERVAL_MS);
  return {
    directory,
    requestCounts: paths.counts,
    ended,
    async unmount() {
      asked = true;
      paths.abandon();
      const failure = await new Promise<Error | null>((done) => native.unmount(done));
      // Without fusermount: then at least the mount goes, and its thread with the process.
      if (failure) await detach(directory);
      await look();
      await ended;
    },
  };
}
