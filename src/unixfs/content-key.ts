/**
 * What an entry is identified by above the blocks: codec and multihash, as the bytes of its CIDv1 in a string of one
 * character a byte.
 *
 * The same block read by another codec is another entry (a directory's block as `raw` is a file of its bytes), whereas
 * CIDv0 and CIDv1 of one DAG node are the same. A string, because a million of them must be fast keys and small: a `CID`
 * object takes ten times as much and would keep the block it was decoded from.
 */
import { CID } from 'multiformats/cid';
import { Digest } from 'multiformats/hashes/digest';
import type { BlockKey } from '../blocks/block.ts';

export type ContentKey = string & { readonly contentKey: unique symbol };

/** Multicodec codes (github.com/multiformats/multicodec). */
export const CODEC_RAW = 0x55;
export const CODEC_DAG_PB = 0x70;

const V0_AS_V1_PREFIX = '\x01\x70';

export function contentKey(cid: CID): ContentKey {
  const { buffer, byteOffset, length } = cid.bytes;
  return contentKeyAt(Buffer.from(buffer, byteOffset, length), 0, length);
}

/** The key of the binary CID at `start`..`end`, which is known to be one (`isCid`). */
export function contentKeyAt(bytes: Buffer, start: number, end: number): ContentKey {
  const text = bytes.toString('latin1', start, end);
  return (bytes[start] === 0x12 ? V0_AS_V1_PREFIX + text : text) as ContentKey;
}

/** Always a CIDv1. Put together here: `CID.decode` makes three times the garbage, and a walk asks for a million of them. */
export function cidOf(key: ContentKey): CID {
  const { buffer, byteOffset, length } = Buffer.from(key, 'latin1');
  const multihashAt = endOfVarint(key, 1);
  const lengthAt = endOfVarint(key, multihashAt);
  const digestAt = endOfVarint(key, lengthAt);
  const from = (at: number) => new Uint8Array(buffer, byteOffset + at, length - at);
  const multihash = new Digest(varintAt(key, multihashAt), length - digestAt, from(digestAt), from(multihashAt));
  return new CID(1, codecOf(key), multihash, from(0));
}

/** The key of the block of what `key` names: its multihash, which is its end. */
export function blockKeyOf(key: ContentKey): BlockKey {
  return key.slice(endOfVarint(key, 1)) as string as BlockKey;
}

/** The multicodec code of what `key` names. */
export function codecOf(key: ContentKey): number {
  // Byte 0 is the version.
  return varintAt(key, 1);
}

/** True where the key holds its block itself (an identity CID): there is nothing to fetch. */
export function isInline(key: ContentKey): boolean {
  return key.charCodeAt(endOfVarint(key, 1)) === 0;
}

function varintAt(key: ContentKey, start: number): number {
  let value = 0;
  let factor = 1;
  // At most nine bytes, as `isCid` has seen to.
  for (let at = start; at < start + 9; at++) {
    const byte = key.charCodeAt(at);
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) break;
    factor *= 128;
  }
  return value;
}

function endOfVarint(key: ContentKey, start: number): number {
  let at = start;
  while (key.charCodeAt(at) >= 0x80) at++;
  return at + 1;
}

/**
 * No digest above 128 bytes is ever read. Files that were once inlined in their CIDs are still listed beside others; what
 * is longer was made to fill memory, and the records that keys stand in.
 */
const MAX_CID_BYTES = 4096;

/**
 * True where exactly `start`..`end` is a binary CID of any sensible length: version 0 (a sha2-256 multihash) or 1. Whether its hash is one we
 * take is for `blocks/` to say. Looks at the prefix alone, so that every link of a large directory can be checked.
 */
export function isCid(bytes: Uint8Array, start: number, end: number): boolean {
  if (bytes[start] === 0x12) return end - start === 34 && bytes[start + 1] === 0x20;
  if (bytes[start] !== 0x01 || end - start > MAX_CID_BYTES) return false;
  let at = start + 1;
  let value = 0;
  // Codec, hash, digest length: three varints of at most 9 bytes each; the last one must reach the end.
  for (let field = 0; field < 3; field++) {
    value = 0;
    let factor = 1;
    const limit = Math.min(end, at + 9);
    for (;;) {
      if (at >= limit) return false;
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * factor;
      // A zero at its end makes a varint longer than it must be, which no CID's is.
      if (byte === 0 && factor > 1) return false;
      if (byte < 0x80) break;
      factor *= 128;
    }
  }
  return at + value === end;
}
