/**
 * IPNS names: the multihash of a public key, written in one of three ways, or else a domain with a DNSLink.
 */

import { base58btc } from 'multiformats/bases/base58';
import { bases } from 'multiformats/basics';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import type { MultibaseDecoder } from 'multiformats/interface';

/** Multihash codes that a key's name may have: `identity` of a small key itself, sha2-256 of a large one. */
type KeyHashCode = 0x00 | 0x12;

export type NameKey = Digest.Digest<KeyHashCode, number>;

/** https://github.com/multiformats/multicodec: `libp2p-key`, and `dag-pb` for names written before there was one. */
const KEY_CODECS: ReadonlySet<number> = new Set([0x72, 0x70]);

/**
 * The key that `name` stands for, `undefined` where it is no key (and then may be a domain): `k51…`, `bafz…` or any
 * other CIDv1, `12D3…` or `Qm…` in bare base58 (https://specs.ipfs.tech/ipns/ipns-record/#ipns-name).
 */
export function parseNameKey(name: string): NameKey | undefined {
  try {
    const multihash = /^(Qm|1)/.test(name) ? Digest.decode(base58btc.baseDecode(name)) : cidMultihash(name);
    return multihash !== undefined && isKeyHash(multihash) ? multihash : undefined;
  } catch {
    return undefined;
  }
}

/** A key's name as gateways know it: CIDv1 `libp2p-key` in base36. */
export function formatNameKey(key: NameKey): string {
  return CID.createV1(0x72, key).toString(bases.base36);
}

function cidMultihash(name: string): Digest.Digest<number, number> | undefined {
  const base = Object.values(bases).find(({ prefix }) => name.startsWith(prefix));
  if (base === undefined) return undefined;
  const cid = CID.parse(name, base as MultibaseDecoder<string>);
  return KEY_CODECS.has(cid.code) ? Digest.decode(cid.multihash.bytes) : undefined;
}

function isKeyHash(multihash: Digest.Digest<number, number>): multihash is NameKey {
  return multihash.code === 0x00 || multihash.code === 0x12;
}
