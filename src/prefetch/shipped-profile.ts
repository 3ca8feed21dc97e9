/**
 * A boot profile that comes with its content: the entry `.ipfs-volume-profile` of the root directory, and beside it
 * `.ipfs-volume-start`, the file whose leaves are the blocks that stand in the profile's groups.
 *
 * It cannot name the root that holds it, so it names the root without it: the same directory block less those links.
 * Whoever reads the content checks exactly that, so a profile of any other tree is never taken for this one's. An
 * ordinary file to whoever reads the volume; a root that is sharded has none (docs/decisions/shipping-profiles.md).
 */
import { createHash } from 'node:crypto';
import { code as DAG_PB, decode, encode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { contentKey } from '../unixfs/content-key.ts';
import { type BootProfile, encodeProfile, withoutBlock } from './boot-profile.ts';

export const PROFILE_ENTRY = '.ipfs-volume-profile';
export const START_ENTRY = '.ipfs-volume-start';
export const SHIPPED_ENTRIES: readonly string[] = [PROFILE_ENTRY, START_ENTRY];
const SHA2_256 = 0x12;

/** The CIDv1 of the directory block `bytes` with neither entry. @throws where it is no dag-pb block */
export function cidWithoutProfile(bytes: Uint8Array): string {
  const { Links, Data } = decode(bytes);
  const without = encode({
    Links: Links.filter(({ Name }) => !SHIPPED_ENTRIES.includes(Name ?? '')),
    ...(Data ? { Data } : {}),
  });
  return CID.createV1(DAG_PB, create(SHA2_256, createHash('sha256').update(without).digest())).toString();
}

/** The entry's text. The profile's own root stays out of it: in the tree that ships it, another block stands there. */
export function shippedText(profile: BootProfile): string {
  return encodeProfile(withoutBlock(profile, contentKey(CID.parse(profile.root))));
}
