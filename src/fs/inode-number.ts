/**
 * What `stat` and a listing show as the inode's number (st_ino, d_ino). It follows from content, and for a directory from
 * its place, alone. The kernel gives nodes back when memory is short, and node numbers are never used twice: shown as they
 * are, a file would change its number under whoever compares it. `find` and `du` take such a directory for another one, and
 * fail; backup programs read such files again.
 */
import type { ContentKey } from '../unixfs/content-key.ts';
import { type NodeId, ROOT_NODE } from './file-system.ts';

/** The number of a file or symlink: one for equal content, as it is one node. */
export function contentInode(key: ContentKey): number {
  return hash53(key, ROOT_NODE);
}

/** The number of a directory by its name in another (a character a byte): two places are two numbers. */
export function placeInode(parentInode: NodeId, name: string): number {
  return hash53(name, parentInode);
}

/** 53 bits, so that it stays a safe integer: among a million files, two alike are one in ten thousand (and harmless). */
function hash53(text: string, seed: number): number {
  let low = 0xdeadbeef ^ seed;
  let high = 0x41c6ce57 ^ Math.floor(seed / 2 ** 32);
  // Two multiplicative hashes side by side, mixed into each other at the end; the constants are MurmurHash3's and primes.
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    low = Math.imul(low ^ code, 2654435761);
    high = Math.imul(high ^ code, 1597334677);
  }
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  const hash = (high >>> 11) * 2 ** 32 + (low >>> 0);
  // 0 is no inode, 1 the root, and 2^32 - 1 what a listing says where it knows none.
  return hash < 2 || hash === 0xffff_ffff ? hash + 2 : hash;
}
