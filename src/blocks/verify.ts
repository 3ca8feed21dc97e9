/**
 * The one place where bytes become a block: they hash to their CID, or nobody sees them.
 *
 * What always holds: a CID that passes `checkCid` names its bytes beyond doubt, so whatever source, cache or CAR they
 * come from, `verifyBlock` says whether they are the block.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { MAX_BLOCK_BYTES } from './block.ts';
import { type HashFunction, hashFunction, MAX_DIGEST_BYTES, MIN_DIGEST_BYTES } from './hash-function.ts';

/** Multihash code of `identity`: the digest is the block itself. */
const IDENTITY = 0x00;

/**
 * Refuses a CID that no bytes could be checked against, before anything is fetched.
 * @throws BLOCK_CORRUPT naming the CID and what is wrong with its hash.
 */
export function checkCid(cid: CID): void {
  if (cid.multihash.code === IDENTITY) identityBytes(cid);
  else allowedHash(cid);
}

/**
 * The block that an identity CID carries in itself, `undefined` for any other CID.
 * @throws BLOCK_CORRUPT above 128 bytes (boxo's bound): such a CID is a way to smuggle data past every other limit.
 */
export function identityBytes(cid: CID): Uint8Array | undefined {
  const { code, digest } = cid.multihash;
  if (code !== IDENTITY) return undefined;
  if (digest.length <= MAX_DIGEST_BYTES) return digest;
  throw new CodedError('BLOCK_CORRUPT', `identity CID of ${digest.length} bytes: at most ${MAX_DIGEST_BYTES} allowed`);
}

/**
 * Returns where `bytes` are the block that `cid` names.
 * @throws BLOCK_TOO_LARGE above MAX_BLOCK_BYTES, BLOCK_CORRUPT where they do not hash to the CID or its hash is not allowed.
 */
export function verifyBlock(cid: CID, bytes: Uint8Array): void {
  if (bytes.length > MAX_BLOCK_BYTES) {
    throw new CodedError('BLOCK_TOO_LARGE', `block ${cid} has ${bytes.length} bytes, more than ${MAX_BLOCK_BYTES}`);
  }
  const { digest } = cid.multihash;
  const actual = identityBytes(cid) === undefined ? allowedHash(cid).digest(bytes, digest.length) : bytes;
  if (Buffer.compare(actual, digest) !== 0) {
    throw new CodedError('BLOCK_CORRUPT', `the ${bytes.length} bytes received as block ${cid} do not match it`);
  }
}

function allowedHash(cid: CID): HashFunction {
  const { code, digest } = cid.multihash;
  const hash = hashFunction(code);
  if (hash === undefined) {
    throw new CodedError(
      'BLOCK_CORRUPT',
      `hash 0x${code.toString(16)} of ${cid} is unknown or too weak to verify a block`,
    );
  }
  if (digest.length < MIN_DIGEST_BYTES || digest.length > hash.maxBytes) {
    throw new CodedError(
      'BLOCK_CORRUPT',
      `${hash.name} digest of ${digest.length} bytes in ${cid}: must be ${MIN_DIGEST_BYTES} to ${hash.maxBytes}`,
    );
  }
  return hash;
}
