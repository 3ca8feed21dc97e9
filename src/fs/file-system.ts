/**
 * The file system as its transports see it: everything by node number, nothing of FUSE, nothing of Docker.
 *
 * The root directory (node 1) holds one name for each mounted volume; below a name is the volume's content, which never
 * changes. Its names are the only thing that does, which is why `Entry.changeable` exists.
 *
 * Every method answers in the same turn where it can. What must wait honours `context.signal`, and is bounded by the
 * longest time-out of the volumes that hold the node.
 *
 * Errors are CodedErrors: BAD_HANDLE for a number never given out, the codes of `blocks/` for content that cannot be
 * had, and those named at each method.
 */
import type { MaybePromise } from '../base/maybe-promise.ts';

/** A node number: 1 is the root, others are given out by `lookup` and `list` and hold until forgotten. */
export type NodeId = number;

export const ROOT_NODE: NodeId = 1;

export type NodeKind = 'file' | 'directory' | 'symlink';

export interface Attributes {
  readonly node: NodeId;
  /** st_ino: the same for as long as content and place are, however often the node is forgotten. A safe integer. */
  readonly inode: number;
  readonly kind: NodeKind;
  /** Permission bits alone (0o777): never set-user-ID, set-group-ID or sticky. */
  readonly mode: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly uid: number;
  readonly gid: number;
  /** True for the root's attributes, which change as volumes come and go: the kernel must not keep them. */
  readonly changeable: boolean;
}

export interface Entry {
  readonly attributes: Attributes;
  /** True for a name in the root directory: the kernel must ask again each time. */
  readonly changeable: boolean;
}

export interface ListedEntry {
  /** UTF-8, 1 to 255 bytes, never `.`, `..`, nor with `/` or NUL in it. */
  readonly name: Uint8Array;
  /** Undefined where the child could not be had within the listing's bound. */
  readonly kind: NodeKind | undefined;
  /**
   * Node number; 0 where there is none. In a listing with attributes, a node with `entry` has been counted as looked
   * up once.
   */
  readonly node: NodeId;
  /** d_ino, as `Attributes.inode`; 0 where unknown. */
  readonly inode: number;
  /** With `withAttributes` and a child whose attributes are known. */
  readonly entry: Entry | undefined;
  /** Pass it to `list` to go on behind this entry. Stable for as long as the directory's node lives. */
  readonly nextCursor: number;
}

/** Who asks. Reading `signal` is what arms it: transports make it on first use. */
export interface RequestContext {
  readonly signal: AbortSignal;
}

export interface FileSystemStatistics {
  readonly blockSize: number;
  readonly totalBytes: number;
  readonly fileCount: number;
}

export interface FileSystem {
  /** @throws ENTRY_NOT_FOUND, NOT_A_DIRECTORY, NAME_TOO_LONG, TOO_MANY_NODES. Counts one look-up of the node it returns. */
  lookup(parent: NodeId, name: Uint8Array, context: RequestContext): MaybePromise<Entry>;

  /** Takes back `count` look-ups of a node; at zero its number is free to be forgotten. Unknown numbers are ignored. */
  forget(node: NodeId, count: number): void;

  /**
   * About `count` nodes that are to be forgotten, if the kernel does not use them and can be asked to: others each time,
   * round after round. None as long as there is room enough for more.
   */
  surplus(count: number): readonly NodeId[];

  attributes(node: NodeId, context: RequestContext): MaybePromise<Attributes>;

  /** The target, byte for byte. @throws NOT_A_SYMLINK */
  readLink(node: NodeId, context: RequestContext): MaybePromise<Uint8Array>;

  /**
   * Bytes `offset`..`offset + length` as pieces in order, ready for writev; short only at the end of the file, since the
   * kernel takes a short answer for that, for good. Offset and length are safe integers, `length` at most a few MiB. What is answered in this turn is overwritten by the next
   * read: whoever needs it longer copies it. @throws IS_A_DIRECTORY, INTERNAL where it came short
   */
  read(node: NodeId, offset: number, length: number, context: RequestContext): MaybePromise<readonly Uint8Array[]>;

  /**
   * Calls `fill` for the entries behind `cursor` (0: from the start; `.` and `..` are the transport's own) until it
   * answers false (that entry did not fit and was not taken) or the directory ends. `fill` runs in one turn.
   *
   * With `withAttributes` (READDIRPLUS) each entry taken counts one look-up of its node where `entry` is there.
   * A child that can't be had, or has no room, never fails the listing. @throws NOT_A_DIRECTORY
   */
  list(
    node: NodeId,
    cursor: number,
    withAttributes: boolean,
    fill: (entry: ListedEntry) => boolean,
    context: RequestContext,
  ): MaybePromise<void>;

  /** Extended attributes by name; empty where they are turned off. @throws NO_ATTRIBUTE */
  getExtendedAttribute(node: NodeId, name: string, context: RequestContext): MaybePromise<Uint8Array>;

  listExtendedAttributes(node: NodeId): readonly string[];

  /** False: transports answer ENOSYS once and the kernel stops asking. */
  readonly extendedAttributes: boolean;

  statistics(): FileSystemStatistics;
}
