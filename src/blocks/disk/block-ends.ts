/**
 * The first and last bytes of a large block, kept in its row: enough to know what the block is without opening its file.
 *
 * Like the pages, they carry a checksum that begins with the block's key: a flipped bit in the index must not turn into
 * another place in a file.
 */
import { crc32 } from 'node:zlib';
import type { BlockKey } from '../block.ts';
import type { BlockEnds } from '../block-store.ts';

/** At each end. The fields around a UnixFS file's bytes take up to about 60, with mode and time. */
const END_BYTES = 128;

/** Checksum, head and tail, of a block of at least two ends. */
export function packEnds(key: BlockKey, bytes: Uint8Array): Uint8Array {
  const packed = Buffer.alloc(4 + 2 * END_BYTES);
  packed.set(bytes.subarray(0, END_BYTES), 4);
  packed.set(bytes.subarray(bytes.length - END_BYTES), 4 + END_BYTES);
  packed.writeUInt32LE(checksum(key, bytes.length, packed.subarray(4)));
  return packed;
}

/** Undefined where they are not what they were. */
export function unpackEnds(key: BlockKey, sizeBytes: number, packed: Uint8Array): BlockEnds | undefined {
  if (packed.length !== 4 + 2 * END_BYTES) return undefined;
  const expected = new DataView(packed.buffer, packed.byteOffset).getUint32(0, true);
  if (checksum(key, sizeBytes, packed.subarray(4)) !== expected) return undefined;
  return { sizeBytes, head: packed.subarray(4, 4 + END_BYTES), tail: packed.subarray(4 + END_BYTES) };
}

function checksum(key: BlockKey, sizeBytes: number, ends: Uint8Array): number {
  return crc32(ends, (crc32(Buffer.from(key, 'latin1')) + sizeBytes) >>> 0);
}
