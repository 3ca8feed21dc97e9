/**
 * The hash functions a block's CID may use, by multihash code (multicodec table).
 *
 * The list is Kubo's (boxo `verifcid`, default allow-list) without sha1: it is broken, and UnixFS never used it. Digests
 * may be truncated to 20 bytes (the same list's bound); the extendable ones (SHAKE, BLAKE3) may be up to 128.
 *
 * All are synchronous: a block is at most 2 MiB and its hash is due before anyone may see it. OpenSSL hashes what it
 * knows (sha-256 at 1.4 GB/s); the rest, which is rare, is done in JavaScript.
 */
import { hash } from 'node:crypto';
import { blake2b, blake2s } from '@noble/hashes/blake2.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { keccak_224, keccak_256, keccak_384, keccak_512, shake256 } from '@noble/hashes/sha3.js';

/** A hash function: `digest` gives `sizeBytes` of it; `sizeBytes` never exceeds `maxBytes`. */
export interface HashFunction {
  readonly name: string;
  readonly maxBytes: number;
  digest(bytes: Uint8Array, sizeBytes: number): Uint8Array;
}

/** boxo `verifcid`: the shortest digest that is still hard to collide, and the longest that anyone needs. */
export const MIN_DIGEST_BYTES = 20;
export const MAX_DIGEST_BYTES = 128;

function openssl(algorithm: string, name: string, maxBytes: number): HashFunction {
  return {
    name,
    maxBytes,
    // In one step: of a block of a few KB an object for it costs more than its hash.
    digest: (bytes, sizeBytes) => hash(algorithm, bytes, 'buffer').subarray(0, sizeBytes),
  };
}

function plain(name: string, maxBytes: number, whole: (bytes: Uint8Array) => Uint8Array): HashFunction {
  return { name, maxBytes, digest: (bytes, sizeBytes) => whole(bytes).subarray(0, sizeBytes) };
}

const FIXED: ReadonlyMap<number, HashFunction> = new Map([
  [0x12, openssl('sha256', 'sha2-256', 32)],
  [0x13, openssl('sha512', 'sha2-512', 64)],
  [0x14, openssl('sha3-512', 'sha3-512', 64)],
  [0x15, openssl('sha3-384', 'sha3-384', 48)],
  [0x16, openssl('sha3-256', 'sha3-256', 32)],
  [0x17, openssl('sha3-224', 'sha3-224', 28)],
  [
    0x19,
    {
      name: 'shake-256',
      maxBytes: MAX_DIGEST_BYTES,
      digest: (bytes, sizeBytes) => shake256(bytes, { dkLen: sizeBytes }),
    },
  ],
  [0x1a, plain('keccak-224', 28, keccak_224)],
  [0x1b, plain('keccak-256', 32, keccak_256)],
  [0x1c, plain('keccak-384', 48, keccak_384)],
  [0x1d, plain('keccak-512', 64, keccak_512)],
  [
    0x1e,
    { name: 'blake3', maxBytes: MAX_DIGEST_BYTES, digest: (bytes, sizeBytes) => blake3(bytes, { dkLen: sizeBytes }) },
  ],
  [0x56, plain('dbl-sha2-256', 32, (bytes) => hash('sha256', hash('sha256', bytes, 'buffer'), 'buffer'))],
]);

// BLAKE2 has one code a digest length, in bytes: 0xb201 is blake2b-8 … 0xb240 blake2b-512, 0xb241 blake2s-8 … 0xb260.
const BLAKE2B_BASE = 0xb200;
const BLAKE2S_BASE = 0xb240;

type Blake2 = (bytes: Uint8Array, options: { dkLen: number }) => Uint8Array;

function blake2(name: string, sizeInCode: number, sized: Blake2): HashFunction {
  return {
    name: `${name}-${sizeInCode * 8}`,
    maxBytes: sizeInCode,
    digest: (bytes, sizeBytes) => sized(bytes, { dkLen: sizeInCode }).subarray(0, sizeBytes),
  };
}

/** The function of a multihash code, `undefined` where blocks may not be named by it. */
export function hashFunction(code: number): HashFunction | undefined {
  if (code >= BLAKE2B_BASE + MIN_DIGEST_BYTES && code <= BLAKE2B_BASE + 64) {
    return blake2('blake2b', code - BLAKE2B_BASE, blake2b);
  }
  if (code >= BLAKE2S_BASE + MIN_DIGEST_BYTES && code <= BLAKE2S_BASE + 32) {
    return blake2('blake2s', code - BLAKE2S_BASE, blake2s);
  }
  return FIXED.get(code);
}
