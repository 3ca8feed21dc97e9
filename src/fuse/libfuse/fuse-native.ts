/**
 * fuse-native 2.2.6 as we use it: an optional dependency, loaded when somebody asks for this transport. The package has
 * no types of its own.
 *
 * Results go to a callback, first a negative errno or 0; `read` and `getxattr` say their number of bytes there.
 */
import { CodedError } from '../../base/errors.ts';

export interface NativeStat {
  readonly mode: number;
  readonly size: number;
  readonly blocks: number;
  readonly blksize: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly ino: number;
  /** Milliseconds: finer ones do not get through. */
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

export interface NativeStatFs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly files: number;
  readonly namemax: number;
}

type Done<R extends unknown[]> = (errno: number, ...result: R | []) => void;

export interface NativeOperations {
  getattr(path: string, done: Done<[NativeStat]>): void;
  readdir(path: string, done: Done<[string[], NativeStat[]]>): void;
  open(path: string, flags: number, done: Done<[handle: number]>): void;
  release(path: string, handle: number, done: Done<[]>): void;
  read(
    path: string,
    handle: number,
    into: Buffer,
    length: number,
    offset: number,
    done: (result: number) => void,
  ): void;
  readlink(path: string, done: Done<[string]>): void;
  statfs(path: string, done: Done<[NativeStatFs]>): void;
  getxattr?(path: string, name: string, position: number, done: Done<[Buffer]>): void;
  listxattr?(path: string, done: Done<[string[]]>): void;
}

export interface NativeMount {
  mount(done: (error: Error | null) => void): void;
  unmount(done: (error: Error | null) => void): void;
}

interface NativeOptions {
  readonly allowOther: boolean;
  readonly defaultPermissions: boolean;
  readonly fsname: string;
  /** Seconds. A string, because a number 0 is taken for "not given". */
  readonly entryTimeout: string;
  readonly attrTimeout: string;
  /** False turns off the module's own time-out, which answers ETIMEDOUT after 15 s whatever is under way. */
  readonly timeout: false;
}

export type NativeFuse = new (directory: string, operations: NativeOperations, options: NativeOptions) => NativeMount;

/** @throws MOUNT_FAILED where the package is not installed, or has no build for this machine. */
export async function loadFuseNative(): Promise<NativeFuse> {
  try {
    // Not a literal: the package is optional, and neither the compiler nor the bundler may insist on it.
    const name: string = 'fuse-native';
    const module = (await import(name)) as { default: NativeFuse };
    return module.default;
  } catch (error) {
    throw new CodedError(
      'MOUNT_FAILED',
      'fuse-native is not installed, or not built for this machine: "npm install fuse-native@2.2.6", or use the kernel transport',
      { cause: error },
    );
  }
}
