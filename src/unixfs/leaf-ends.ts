/**
 * A leaf of a file, decoded from the ends of its block.
 *
 * A dag-pb leaf is a few bytes, the file's bytes, and a few bytes more. To read 4 KiB of it, or to show its size, there is
 * no need to read a MiB from the disk. The block is decoded as ever, with its middle left out; that counts only where the
 * middle turns out to be nothing but the file's bytes, which no decoder looks at.
 */
import { MAX_BLOCK_BYTES } from '../blocks/block.ts';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import type { BlockEnds } from '../blocks/block-store.ts';
import { CODEC_DAG_PB, type ContentKey, cidOf, codecOf } from './content-key.ts';
import { decodeDagPb, type UnixfsEntry } from './unixfs-entry.ts';

/** As large as any block; only its ends are ever written, so that it takes a few pages of memory. */
let hollow: Uint8Array | undefined;

/** A leaf whose block was not read. */
export interface LeafOnDisk {
  readonly entry: UnixfsEntry;
  /** Of the block. */
  readonly blockBytes: number;
}

/** The leaf that `key` is, where its block is on the disk here and large enough to be told by its ends. */
export function leafOnDisk(blocks: BlockReader, key: ContentKey, options: WantOptions): LeafOnDisk | undefined {
  const ends = codecOf(key) === CODEC_DAG_PB ? blocks.ends(cidOf(key), options) : undefined;
  const entry = ends && decodeLeafEnds(ends);
  return entry && { entry, blockBytes: ends.sizeBytes };
}

/** The leaf that a dag-pb block is; undefined where its ends do not tell, or it is another thing. */
export function decodeLeafEnds({ sizeBytes, head, tail }: BlockEnds): UnixfsEntry | undefined {
  if (sizeBytes > MAX_BLOCK_BYTES || sizeBytes < head.length + tail.length) return undefined;
  hollow ??= new Uint8Array(MAX_BLOCK_BYTES);
  const block = hollow.subarray(0, sizeBytes);
  const tailStart = sizeBytes - tail.length;
  block.set(head, 0);
  block.set(tail, tailStart);
  try {
    const entry = decodeDagPb(block);
    if (entry.kind !== 'file' || entry.file.children) return undefined;
    const { dataStart, dataLength } = entry.file;
    return dataStart <= head.length && dataStart + dataLength >= tailStart ? entry : undefined;
  } catch {
    // Something in the middle would have been needed; or the block is malformed, which decoding all of it will say.
    return undefined;
  } finally {
    block.fill(0, tailStart);
  }
}
