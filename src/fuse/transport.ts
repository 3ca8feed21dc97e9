/**
 * What carries a `FileSystem` to the kernel: `kernel/` (the FUSE protocol spoken from here, the default) and `libfuse/`
 * (fuse-native, optional). One contract suite runs over both.
 */

import type { Logger } from '../base/log.ts';
import type { FileSystem } from '../fs/file-system.ts';

export interface MountOptions {
  /** Shown as the device in /proc/mounts, such as `ipfs-volume`. */
  readonly fsName: string;
  readonly logger: Logger;
  /**
   * Called once for each request answered with an error that the reader's errno cannot explain (EIO, ETIMEDOUT), for
   * `lastError` and the log.
   */
  readonly onError?: (operation: string, node: number, error: unknown) => void;
}

/** How the mount ended: asked for, or from outside (`umount`, a lost connection). */
export type MountEnd = 'unmounted' | 'lost';

export interface MountedFileSystem {
  readonly directory: string;
  /** Requests answered, by operation name, for metrics. */
  readonly requestCounts: ReadonlyMap<string, number>;
  /** Resolves when the mount is gone and every thread and descriptor given back. Never rejects. */
  readonly ended: Promise<MountEnd>;
  /** Detaches (lazily: a busy mount ends when its last user does), answers what is pending, resolves after `ended`. */
  unmount(): Promise<void>;
}

export interface FuseTransport {
  readonly name: 'kernel' | 'fuse-native';
  /** Resolves once the kernel answers on `directory`. @throws MOUNT_FAILED with what mount(8) said and how to mend it. */
  mount(fileSystem: FileSystem, directory: string, options: MountOptions): Promise<MountedFileSystem>;
}
