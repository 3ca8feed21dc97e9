/**
 * The operations that fuse-native calls, by path, over a `FileSystem`, by node.
 *
 * libfuse tells nobody of interrupts, so a request ends with its data, its error, or the unmount.
 */
import { CodedError } from '../../base/errors.ts';
import { chain, type MaybePromise } from '../../base/maybe-promise.ts';
import type { Attributes, FileSystem, ListedEntry, NodeId, NodeKind, RequestContext } from '../../fs/file-system.ts';
import { errnoOf, needsExplanation } from '../errno.ts';
import type { MountOptions } from '../transport.ts';
import type { NativeOperations, NativeStat, NativeStatFs } from './fuse-native.ts';
import { PathWalk } from './path-walk.ts';

/** S_IFMT of each kind. */
const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000 } as const;
/** As the kernel transport says it: see `kernel/structures.ts` for the reasons. */
const PREFERRED_READ_BYTES = 128 * 1024;
const LINK_COUNT = 1;
/** d_ino where there is none (libfuse's own value): readdir takes 0 for a deleted entry and skips it. */
const UNKNOWN_INODE = 0xffff_ffff;
/** What `onError` is told: a path that failed may have no node. */
const UNKNOWN_NODE = 0;

export class PathOperations {
  readonly counts = new Map<string, number>();
  readonly #fileSystem: FileSystem;
  readonly #walk: PathWalk;
  readonly #options: MountOptions;
  readonly #waiting = new Set<AbortController>();
  /** Nodes by handle; each holds one look-up. */
  readonly #open = new Map<number, NodeId>();
  #nextHandle = 1;

  constructor(fileSystem: FileSystem, options: MountOptions) {
    this.#fileSystem = fileSystem;
    this.#walk = new PathWalk(fileSystem);
    this.#options = options;
  }

  /** Ends whatever waits, with EINTR. */
  abandon(): void {
    for (const controller of this.#waiting) controller.abort();
  }

  /** Gives every node back: the mount is gone. */
  close(): void {
    this.abandon();
    for (const node of this.#open.values()) this.#fileSystem.forget(node, 1);
    this.#open.clear();
    this.#walk.clear();
  }

  readonly operations = (): NativeOperations => ({
    getattr: (path, done) => this.#at('GETATTR', path, done, (attributes) => done(0, statOf(attributes))),
    readdir: (path, done) =>
      this.#at('READDIR', path, done, ({ node, inode }, context) => {
        const names = ['.', '..'];
        const stats = [typeOnly('directory', inode), typeOnly('directory', 0)];
        const take = (listed: ListedEntry): boolean => {
          names.push(Buffer.from(listed.name).toString('utf8'));
          stats.push(typeOnly(listed.kind, listed.inode));
          return true;
        };
        return chain(this.#fileSystem.list(node, 0, false, take, context), () => done(0, names, stats));
      }),
    open: (path, _flags, done) =>
      this.#run('OPEN', done, (context) =>
        chain(this.#walk.hold(path, context), ({ node }) => {
          const handle = this.#nextHandle++;
          this.#open.set(handle, node);
          done(0, handle);
        }),
      ),
    release: (_path, handle, done) => {
      const node = this.#open.get(handle);
      this.#open.delete(handle);
      if (node !== undefined) this.#fileSystem.forget(node, 1);
      done(0);
    },
    read: (_path, handle, into, length, offset, done) =>
      this.#run('READ', done, (context) => {
        const node = this.#open.get(handle);
        if (node === undefined) throw new CodedError('BAD_HANDLE', `no open file ${handle}`);
        return chain(this.#fileSystem.read(node, offset, length, context), (pieces) => {
          let at = 0;
          for (const piece of pieces) {
            into.set(piece, at);
            at += piece.length;
          }
          done(at);
        });
      }),
    readlink: (path, done) =>
      this.#at('READLINK', path, done, ({ node }, context) =>
        chain(this.#fileSystem.readLink(node, context), (target) => done(0, Buffer.from(target).toString('utf8'))),
      ),
    statfs: (_path, done) => done(0, statFsOf(this.#fileSystem)),
    ...(this.#fileSystem.extendedAttributes ? this.#xattrs() : {}),
  });

  #xattrs(): Pick<NativeOperations, 'getxattr' | 'listxattr'> {
    return {
      getxattr: (path, name, _position, done) =>
        this.#at('GETXATTR', path, done, ({ node }, context) =>
          chain(this.#fileSystem.getExtendedAttribute(node, name, context), (value) => done(0, Buffer.from(value))),
        ),
      listxattr: (path, done) =>
        this.#at('LISTXATTR', path, done, ({ node }) => done(0, [...this.#fileSystem.listExtendedAttributes(node)])),
    };
  }

  /** Walks to `path` and has `work` answer. */
  #at(
    operation: string,
    path: string,
    done: (errno: number) => void,
    work: (attributes: Attributes, context: RequestContext) => MaybePromise<void>,
  ): void {
    this.#run(operation, done, (context) => this.#walk.at(path, context, (attributes) => work(attributes, context)));
  }

  /** Has `work` answer, and answers its failure. */
  #run(operation: string, done: (errno: number) => void, work: (context: RequestContext) => MaybePromise<void>): void {
    this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1);
    const context = new AbortController();
    const failed = (error: unknown): void => {
      const errno = errnoOf(error);
      if (needsExplanation(errno)) this.#options.onError?.(operation, UNKNOWN_NODE, error);
      done(-errno);
    };
    try {
      const result = work(context);
      if (!(result instanceof Promise)) return;
      this.#waiting.add(context);
      void result.catch(failed).finally(() => this.#waiting.delete(context));
    } catch (error) {
      failed(error);
    }
  }
}

function statOf(attributes: Attributes): NativeStat {
  // The module takes milliseconds without a sign: a time before 1970 would be one in half a billion years.
  const mtime = Math.max(0, attributes.mtimeSeconds * 1000 + Math.floor(attributes.mtimeNanoseconds / 1_000_000));
  return {
    mode: TYPE_BITS[attributes.kind] | attributes.mode,
    size: attributes.sizeBytes,
    blocks: Math.ceil(attributes.sizeBytes / 512),
    blksize: PREFERRED_READ_BYTES,
    nlink: LINK_COUNT,
    uid: attributes.uid,
    gid: attributes.gid,
    ino: attributes.inode,
    atime: mtime,
    mtime,
    ctime: mtime,
  };
}

/** For d_type and d_ino; libfuse looks at nothing else of a listed entry. */
function typeOnly(kind: NodeKind | undefined, inode: number): NativeStat {
  const mode = kind ? TYPE_BITS[kind] : 0;
  const none = { size: 0, blocks: 0, blksize: 0, nlink: LINK_COUNT, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 };
  return { ...none, mode, ino: inode === 0 ? UNKNOWN_INODE : inode };
}

/** The fields are 32 bits wide here: the block grows until the count fits. */
function statFsOf(fileSystem: FileSystem): NativeStatFs {
  const { blockSize, totalBytes, fileCount } = fileSystem.statistics();
  let bsize = blockSize;
  while (totalBytes / bsize > 0xffff_ffff) bsize *= 2;
  const blocks = Math.ceil(totalBytes / bsize);
  return { bsize, frsize: bsize, blocks, files: Math.min(fileCount, 0xffff_ffff), namemax: 255 };
}
