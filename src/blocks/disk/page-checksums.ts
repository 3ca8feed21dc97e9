/**
 * Checksums of a block's pages, made when the block was verified: what comes back from the disk is checked against them,
 * page by page, since hashing a block of 1 MiB for each 4 KiB read of it would cost more than a millisecond.
 *
 * Each is a CRC-32 that begins with the block's key and the page's number, so that it also finds bytes that are whole but
 * another's: an index entry with a flipped bit leads to the wrong row. CRC-32 finds every flipped bit, and every burst of
 * up to 32; it guards against disks, not against people, who would need root to write here.
 */
import { crc32 } from 'node:zlib';
import type { BlockKey } from '../block.ts';

/** Small enough that a random read checks little, large enough that 1 MiB has 256 bytes of checksums. */
export const PAGE_BYTES = 16 * 1024;

/** Four bytes a page, little-endian; one page for an empty block. */
export function pageChecksums(key: BlockKey, bytes: Uint8Array): Uint8Array {
  const seed = seedOf(key);
  const checksums = Buffer.alloc(pagesIn(bytes.length) * 4);
  for (let page = 0; page * 4 < checksums.length; page++) {
    checksums.writeUInt32LE(checksum(bytes, page, seed, page), page * 4);
  }
  return checksums;
}

/** True where `bytes`, which start at page `firstPage` and end at a page's end or the block's, are what they were. */
export function pagesMatch(key: BlockKey, bytes: Uint8Array, firstPage: number, checksums: Uint8Array): boolean {
  const seed = seedOf(key);
  const view = new DataView(checksums.buffer, checksums.byteOffset, checksums.byteLength);
  const pages = pagesIn(bytes.length);
  if ((firstPage + pages) * 4 > checksums.length) return false;
  for (let page = 0; page < pages; page++) {
    if (checksum(bytes, page, seed, firstPage + page) !== view.getUint32((firstPage + page) * 4, true)) return false;
  }
  return true;
}

/** Of the page that is number `at` in `bytes` and `number` in its block. */
function checksum(bytes: Uint8Array, at: number, seed: number, number: number): number {
  return crc32(bytes.subarray(at * PAGE_BYTES, (at + 1) * PAGE_BYTES), (seed + number) >>> 0);
}

function pagesIn(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / PAGE_BYTES));
}

function seedOf(key: BlockKey): number {
  return crc32(Buffer.from(key, 'latin1'));
}
