/**
 * What a block is: bytes named by a CID, and nothing else counts as one until it was verified (`verify.ts`).
 *
 * Blocks are keyed by multihash, so that CIDv0, CIDv1 dag-pb and CIDv1 raw of the same bytes are one block everywhere:
 * in memory, on disk and in the want queue.
 */
import type { CID } from 'multiformats/cid';

/** A block's identity: its multihash, as a string of one character a byte (fast to hash, half of hex in memory). */
export type BlockKey = string & { readonly blockKey: unique symbol };

/** The key under which the block of `cid` is kept, whatever the CID's version and codec. */
export function blockKey(cid: CID): BlockKey {
  const { bytes } = cid.multihash;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') as BlockKey;
}

/** A block that was verified, or is about to be by whoever receives it: the type of the sender says which. */
export interface Block {
  readonly cid: CID;
  readonly bytes: Uint8Array;
}

/** Bitswap's and Kubo's limit of a block; what is larger is refused from every source. */
export const MAX_BLOCK_BYTES = 2 * 1024 * 1024;
