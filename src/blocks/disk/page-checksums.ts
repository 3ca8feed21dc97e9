/**
 * Checksums of a block's pages, made when the block was verified: what comes back from the disk is checked against them,
 * page by page, since hashing a block of 1 MiB for each 4 KiB read of it would cost more than a millisecond.
 *
 * CRC-32 finds every flipped bit, and every burst of up to 32; it guards against disks, not against people, who would
 * need root to write here.
 */
import { crc32 } from 'node:zlib';

/** Small enough that a random read checks little, large enough that 1 MiB has 256 bytes of checksums. */
export const PAGE_BYTES = 16 * 1024;

/** Four bytes a page, little-endian; one page for an empty block. */
export function pageChecksums(bytes: Uint8Array): Uint8Array {
  const pages = Math.max(1, Math.ceil(bytes.length / PAGE_BYTES));
  const checksums = Buffer.alloc(pages * 4);
  for (let page = 0; page < pages; page++) {
    checksums.writeUInt32LE(crc32(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)), page * 4);
  }
  return checksums;
}

/** True where `bytes`, which start at page `firstPage` and end at a page's end or the block's, are what they were. */
export function pagesMatch(bytes: Uint8Array, firstPage: number, checksums: Uint8Array): boolean {
  const view = new DataView(checksums.buffer, checksums.byteOffset, checksums.byteLength);
  const pages = Math.max(1, Math.ceil(bytes.length / PAGE_BYTES));
  if ((firstPage + pages) * 4 > checksums.length) return false;
  for (let page = 0; page < pages; page++) {
    const found = crc32(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
    if (found !== view.getUint32((firstPage + page) * 4, true)) return false;
  }
  return true;
}
