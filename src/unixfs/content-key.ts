/**
 * What an entry is identified by above the blocks: codec and multihash, as the bytes of its CIDv1 in a string of one
 * character a byte.
 *
 * The same block read by another codec is another entry (a directory's block as `raw` is a file of its bytes), whereas
 * CIDv0 and CIDv1 of one DAG node are the same. A string, because a million of them must be fast keys and small: a `CID`
 * object takes ten times as much and would keep the block it was decoded from.
 */
import { CID } from 'multiformats/cid';

export type ContentKey = string & { readonly contentKey: unique symbol };

/** Multicodec codes (github.com/multiformats/multicodec). */
export const CODEC_RAW = 0x55;
export const CODEC_DAG_PB = 0x70;

const V0_AS_V1_PREFIX = '\x01\x70';

export function contentKey(cid: CID): ContentKey {
  return contentKeyAt(cid.bytes, 0, cid.bytes.length);
}

/** The key of the binary CID at `start`..`end`, which is known to be one (`isCid`). */
export function contentKeyAt(bytes: Uint8Array, start: number, end: number): ContentKey {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
  return (bytes[start] === 0x12 ? V0_AS_V1_PREFIX + text : text) as ContentKey;
}

/** Always a CIDv1. */
export function cidOf(key: ContentKey): CID {
  return CID.decode(Buffer.from(key, 'latin1'));
}

/** The multicodec code of what `key` names. */
export function codecOf(key: ContentKey): number {
  let codec = 0;
  let factor = 1;
  // Byte 0 is the version; a varint of the codec table is at most 9 bytes.
  for (let at = 1; at < 10; at++) {
    const byte = key.charCodeAt(at);
    codec += (byte & 0x7f) * factor;
    if (byte < 0x80) break;
    factor *= 128;
  }
  return codec;
}

/** True where the key holds its block itself (an identity CID): there is nothing to fetch. */
export function isInline(key: ContentKey): boolean {
  let at = 1;
  while (key.charCodeAt(at) >= 0x80) at++;
  return key.charCodeAt(at + 1) === 0;
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
