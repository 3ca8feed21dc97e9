/**
 * What a block is in the file system: the one place where bytes become files, directories and symlinks.
 *
 * By the codec of the CID: `raw` is a file, `dag-pb` what its UnixFS message says, anything else an opaque object, shown as
 * a file of the block's bytes. A dag-pb block without a UnixFS message is DAG_INVALID, and so is everything malformed.
 */
import { CodedError } from '../base/errors.ts';
import { isLent } from '../blocks/block-memory.ts';
import { entriesOf } from './basic-directory.ts';
import { CODEC_DAG_PB, CODEC_RAW, type ContentKey, codecOf } from './content-key.ts';
import { decodeDagNode } from './dag-node.ts';
import { decodeFileNode, type FileNode, plainFileNode } from './file-node.ts';
import { decodeHamtShard, type HamtShard } from './hamt-shard.ts';
import type { LinkTable } from './link-table.ts';
import { decodeUnixfsData, type UnixfsData, type UnixfsMetadata, type UnixfsType } from './unixfs-data.ts';

export type UnixfsEntry =
  | { readonly kind: 'file'; readonly metadata: UnixfsMetadata; readonly file: FileNode }
  /** `entries` are those that can be shown, each name once. */
  | { readonly kind: 'directory'; readonly metadata: UnixfsMetadata; readonly entries: LinkTable }
  | { readonly kind: 'shard'; readonly metadata: UnixfsMetadata; readonly shard: HamtShard }
  | { readonly kind: 'symlink'; readonly metadata: UnixfsMetadata; readonly target: Uint8Array }
  /** A block that is not UnixFS. */
  | { readonly kind: 'object'; readonly metadata: UnixfsMetadata; readonly file: FileNode };

export const NO_METADATA: UnixfsMetadata = { mode: undefined, mtimeSeconds: 0, mtimeNanoseconds: 0 };

/** What the kernel takes of a symlink's target: a page, less its end (fs/fuse/dir.c, fuse_readlink_page). */
const MAX_TARGET_BYTES = 4095;

const RESOLVERS: Readonly<Record<number, (bytes: Uint8Array) => UnixfsEntry>> = {
  [CODEC_RAW]: (bytes) => ({ kind: 'file', metadata: NO_METADATA, file: plainFileNode(bytes.length) }),
  [CODEC_DAG_PB]: decodeToKeep,
};

/** The entry that the verified block `bytes` of `key` is; it may keep `bytes` that are not lent. @throws DAG_INVALID */
export function decodeUnixfsEntry(key: ContentKey, bytes: Uint8Array): UnixfsEntry {
  const resolve = RESOLVERS[codecOf(key)];
  if (resolve) return resolve(bytes);
  return { kind: 'object', metadata: NO_METADATA, file: plainFileNode(bytes.length) };
}

/** What an entry keeps alive, roughly, for caches bounded by bytes. */
export function entryMemoryBytes(entry: UnixfsEntry): number {
  if (entry.kind === 'directory') return entry.entries.memoryBytes;
  if (entry.kind === 'shard') return entry.shard.links.memoryBytes + entry.shard.slots.byteLength;
  if (entry.kind === 'symlink') return 300 + entry.target.length;
  const { children } = entry.file;
  return 300 + (children ? children.links.memoryBytes + children.ends.byteLength : 0);
}

type DagPbResolver = (bytes: Uint8Array, data: UnixfsData, links: LinkTable) => UnixfsEntry;

const DAG_PB_RESOLVERS: Readonly<Record<UnixfsType, DagPbResolver>> = {
  raw: decodeFile,
  file: decodeFile,
  directory: (_bytes, data, links) => ({ kind: 'directory', metadata: metadataOf(data), entries: entriesOf(links) }),
  shard: (bytes, data, links) => ({
    kind: 'shard',
    metadata: metadataOf(data),
    shard: decodeHamtShard(bytes, data, links),
  }),
  symlink: decodeSymlink,
  metadata: () => {
    throw new CodedError('DAG_INVALID', 'not a UnixFS entry: the metadata type was never defined');
  },
};

/** The entry that a dag-pb block is; it may keep `bytes`. @throws DAG_INVALID */
export function decodeDagPb(bytes: Uint8Array): UnixfsEntry {
  const node = decodeDagNode(bytes);
  const data = decodeUnixfsData(bytes, node.dataStart, node.dataEnd);
  return DAG_PB_RESOLVERS[data.type](bytes, data, node.links);
}

function decodeFile(_bytes: Uint8Array, data: UnixfsData, links: LinkTable): UnixfsEntry {
  return { kind: 'file', metadata: metadataOf(data), file: decodeFileNode(data, links) };
}

function decodeSymlink(bytes: Uint8Array, data: UnixfsData): UnixfsEntry {
  if (data.dataEnd - data.dataStart > MAX_TARGET_BYTES) {
    throw new CodedError('DAG_INVALID', `not a symlink: its target is longer than ${MAX_TARGET_BYTES} bytes`);
  }
  return {
    kind: 'symlink',
    metadata: metadataOf(data),
    target: new Uint8Array(bytes.subarray(data.dataStart, data.dataEnd)),
  };
}

function metadataOf({ mode, mtimeSeconds, mtimeNanoseconds }: UnixfsData): UnixfsMetadata {
  if (mode === undefined && mtimeSeconds === 0 && mtimeNanoseconds === 0) return NO_METADATA;
  return { mode, mtimeSeconds, mtimeNanoseconds };
}

/** With memory of its own where it keeps some. A leaf, the usual large block, keeps nothing. */
function decodeToKeep(block: Uint8Array): UnixfsEntry {
  const entry = decodeDagPb(withoutSlack(block));
  const keepsNothing = entry.kind === 'symlink' || (entry.kind === 'file' && !entry.file.children);
  return keepsNothing || !isLent(block) ? entry : decodeDagPb(new Uint8Array(block));
}

/** A view of a much larger buffer (a CAR, a socket's) would keep all of that buffer as long as the entry lives. */
function withoutSlack(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > 2 * bytes.byteLength + 8192 ? new Uint8Array(bytes) : bytes;
}
