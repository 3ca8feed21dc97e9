/**
 * One block of a sharded directory (a HAMT, specs.ipfs.tech/unixfs "HAMT-sharded directory"), and where a name stands
 * in one.
 *
 * The hash of a name, most significant bit first, is cut into slots of log2(fanout) bits, one for each level. A shard's
 * links are in the order of their slots; a link's name is its slot in upper-case hex, followed by the entry's name, or by
 * nothing where the link leads to the shard below. All of it is checked, so that a shard that says one thing in its
 * bit field and another in its links is refused instead of showing some of its entries.
 */
import { murmur364 } from '@multiformats/murmur3';
import { CodedError } from '../base/errors.ts';
import type { LinkTable } from './link-table.ts';
import type { UnixfsData } from './unixfs-data.ts';

/** murmur3-x64-64, the only hash function that UnixFS defines for shards. */
const HASH_MURMUR3_X64_64 = 0x22;
/** Kubo's bound (boxo ipld/unixfs/hamt, maximumHamtWidth). */
const MAX_FANOUT = 1024;
export const NAME_HASH_BITS = 64;

export interface HamtShard {
  /** log2 of the fanout, 1 to 10. */
  readonly bits: number;
  /** Hex digits that name a slot. */
  readonly prefixLength: number;
  readonly links: LinkTable;
  /** The slot of each link, strictly ascending. */
  readonly slots: Uint16Array;
}

/** @throws DAG_INVALID for another hash function, a fanout that is none, links that contradict the bit field. */
export function decodeHamtShard(bytes: Uint8Array, data: UnixfsData, links: LinkTable): HamtShard {
  if (data.hashType !== HASH_MURMUR3_X64_64) throw invalid(`hash function ${data.hashType ?? 'missing'}`);
  const fanout = data.fanout ?? 0;
  if (fanout < 2 || fanout > MAX_FANOUT || (fanout & (fanout - 1)) !== 0) throw invalid(`fanout ${fanout}`);
  const prefixLength = (fanout - 1).toString(16).length;
  const slots = new Uint16Array(links.count);
  let previous = -1;
  for (let link = 0; link < links.count; link++) {
    const slot = slotOf(links.bytes, links.nameStart(link), links.nameEnd(link), prefixLength);
    if (slot < 0 || slot >= fanout) throw invalid('a link without its slot');
    if (slot <= previous) throw invalid('links out of order');
    if (!hasBit(bytes, data.dataStart, data.dataEnd, slot)) throw invalid('a link that the bit field does not have');
    slots[link] = slot;
    previous = slot;
  }
  if (countBits(bytes, data.dataStart, data.dataEnd) !== links.count) throw invalid('a bit field without its link');
  return { bits: 31 - Math.clz32(fanout), prefixLength, links, slots };
}

/** True where the link leads to the shard below; false where it is an entry. */
export function isSubShard(shard: HamtShard, link: number): boolean {
  return shard.links.nameEnd(link) - shard.links.nameStart(link) === shard.prefixLength;
}

/** The link in `slot`, or -1. */
export function linkInSlot(shard: HamtShard, slot: number): number {
  let low = 0;
  let high = shard.slots.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((shard.slots[middle] as number) < slot) low = middle + 1;
    else high = middle;
  }
  return shard.slots[low] === slot ? low : -1;
}

/** The eight bytes of hash by which `name` is placed. */
export function hashName(name: Uint8Array): Uint8Array {
  const hash = murmur364.encode(name);
  if (hash instanceof Promise) throw new CodedError('INTERNAL', 'murmur3 is synchronous');
  return hash;
}

/** The slot at `depth` (0 for the root shard), or -1 where the hash has no more bits: then nothing can stand there. */
export function slotAt(hash: Uint8Array, depth: number, bits: number): number {
  const from = depth * bits;
  if (from + bits > NAME_HASH_BITS) return -1;
  let slot = 0;
  for (let bit = from; bit < from + bits; bit++) {
    slot = (slot << 1) | (((hash[bit >>> 3] as number) >>> (7 - (bit & 7))) & 1);
  }
  return slot;
}

function slotOf(bytes: Uint8Array, start: number, end: number, prefixLength: number): number {
  if (end - start < prefixLength) return -1;
  let slot = 0;
  for (let at = start; at < start + prefixLength; at++) {
    const byte = bytes[at] as number;
    // 0-9 and A-F: what Kubo writes; lower case would name a slot twice.
    const digit = byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : byte >= 0x41 && byte <= 0x46 ? byte - 0x37 : -1;
    if (digit < 0) return -1;
    slot = slot * 16 + digit;
  }
  return slot;
}

/** The bit field is a big-endian number without its leading zero bytes. */
function hasBit(bytes: Uint8Array, start: number, end: number, bit: number): boolean {
  const at = end - 1 - (bit >>> 3);
  return at >= start && (((bytes[at] as number) >>> (bit & 7)) & 1) === 1;
}

function countBits(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; at++) {
    for (let byte = bytes[at] as number; byte !== 0; byte &= byte - 1) count++;
  }
  return count;
}

function invalid(what: string): CodedError {
  return new CodedError('DAG_INVALID', `not a shard of a directory: ${what}`);
}
