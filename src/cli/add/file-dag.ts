/**
 * A file's DAG in the balanced layout, as boxo's `importer/balanced` builds it: 1 MiB chunks, 1024 links a node.
 *
 * Chunks fill level 0; a level that is full becomes one node of the level above as soon as another child arrives, and at
 * the end what is left of each level is closed upwards. So 1024 chunks have one root above them, and the 1025th opens a
 * second level, alone in its node. Memory: 1024 links a level, three levels for a petabyte.
 */
import type { DagLink, DagRoot, Emit } from './dag-node.ts';
import { emitNode, emitRaw } from './dag-node.ts';
import { encodeUnixFs, type Metadata, UNIXFS_TYPE } from './unixfs-data.ts';

/** `Import.UnixFSChunker` and `Import.UnixFSFileMaxLinks` of Kubo's profile `unixfs-v1-2025`. */
export const CHUNK_BYTES = 1024 * 1024;
const MAX_LINKS = 1024;

/** A leaf, or a node with what is below it. */
export interface FilePart extends DagLink {
  /** Bytes of the file in it: UnixFS `blocksizes`. */
  readonly fileBytes: number;
}

/** The chunks of a file in order, none empty; a file of no bytes has no chunk. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** `bytes` as such chunks. */
export function chunksOf(bytes: Uint8Array): Uint8Array[] {
  const count = Math.ceil(bytes.length / CHUNK_BYTES);
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
}

/**
 * Emits all blocks of a file and returns its root. With `metadata` (even empty) the leaves are dag-pb as Kubo's are:
 * it refuses raw leaves beside a mode or mtime, since a one-block file would have nowhere to keep them.
 */
export async function emitFile(chunks: Chunks, metadata: Metadata | undefined, emit: Emit): Promise<DagRoot> {
  const levels: FilePart[][] = [[]];
  const leaf = (chunk: Uint8Array, own: Metadata) => {
    if (!metadata) return emitRaw(chunk, emit);
    // Kubo writes no `Data` field at all for no bytes, and always the size.
    const data = chunk.length > 0 ? { data: chunk } : {};
    return emitNode(encodeUnixFs({ type: UNIXFS_TYPE.file, ...data, fileSize: chunk.length, ...own }), [], emit);
  };

  let pending: Uint8Array | undefined;
  for await (const chunk of chunks) {
    if (pending) await push(levels, 0, child(await leaf(pending, {}), pending.length), emit);
    pending = chunk;
  }
  const last = pending ?? new Uint8Array();
  const isOnlyChunk = levels[0]?.length === 0;
  // A file of one block is that block, and carries the metadata itself.
  if (isOnlyChunk) return leaf(last, metadata ?? {});

  await push(levels, 0, child(await leaf(last, {}), last.length), emit);
  for (let level = 0; level < levels.length - 1; level++) {
    await push(levels, level + 1, await close(levels[level] as FilePart[], {}, emit), emit);
  }
  return close(levels.at(-1) as FilePart[], metadata ?? {}, emit);
}

/** Emits the nodes above `parts`, at least one, which were emitted before, and returns the root. */
export async function emitFileOver(parts: readonly FilePart[], emit: Emit): Promise<FilePart> {
  if (parts.length <= MAX_LINKS) return close(parts, {}, emit);
  const nodes: FilePart[] = [];
  for (let from = 0; from < parts.length; from += MAX_LINKS) {
    nodes.push(await close(parts.slice(from, from + MAX_LINKS), {}, emit));
  }
  return emitFileOver(nodes, emit);
}

function child(root: DagRoot, fileBytes: number): FilePart {
  return { ...root, name: '', fileBytes };
}

async function push(levels: FilePart[][], level: number, next: FilePart, emit: Emit): Promise<void> {
  levels[level] ??= [];
  if (levels[level].length === MAX_LINKS) {
    const full = levels[level];
    levels[level] = [];
    await push(levels, level + 1, await close(full, {}, emit), emit);
  }
  levels[level].push(next);
}

async function close(children: readonly FilePart[], metadata: Metadata, emit: Emit): Promise<FilePart> {
  const blockSizes = children.map((c) => c.fileBytes);
  const fileSize = blockSizes.reduce((sum, size) => sum + size, 0);
  const data = encodeUnixFs({ type: UNIXFS_TYPE.file, fileSize, blockSizes, ...metadata });
  return child(await emitNode(data, children, emit), fileSize);
}
