/**
 * The boot profile for a mount: the one its options name, else the one of earlier runs on this machine, else the one that
 * came with the content.
 *
 * The last stands in the root directory as `.ipfs-volume-profile`. It cannot name the root that holds it, so it names the
 * root without it: the same directory block less that one link. Any other is not this content's, and is ignored.
 */

import { createHash } from 'node:crypto';
import { code as DAG_PB, decode, encode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { CodedError } from '../base/errors.ts';
import type { WantOptions } from '../blocks/block-reader.ts';
import { CODEC_RAW, type ContentKey, cidOf, codecOf, contentKey } from '../unixfs/content-key.ts';
import { readExtents } from '../unixfs/read-extents.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import { type BootProfile, decodeProfile, MAX_PROFILE_BYTES } from './boot-profile.ts';
import type { ProfileStore } from './profile-store.ts';

/** The entry of a root directory that holds a profile of it. An ordinary file to whoever reads the volume. */
const PROFILE_ENTRY = '.ipfs-volume-profile';
const SHA2_256 = 0x12;

/** Undefined where there is none. @throws INPUT_INVALID for one that is not of this root, and what reading it throws. */
export async function findProfile(
  { unixfs, profiles }: { readonly unixfs: UnixfsReader; readonly profiles: ProfileStore },
  root: CID,
  named: string | undefined,
  want: WantOptions,
): Promise<BootProfile | undefined> {
  const rootText = root.toV1().toString();
  if (named !== undefined) {
    const profile = profiles.get(named) ?? (await readProfile(unixfs, contentKey(cidNamed(named)), want));
    // The root without its profile is as good: it is the tree that the profile was recorded on.
    if (profile.root !== rootText && profile.root !== (await rootWithoutProfile(unixfs, root, want))) {
      throw new CodedError('INPUT_INVALID', `the profile "${named}" is of ${profile.root} and not of this root`);
    }
    return profile;
  }
  const recorded = profiles.get(rootText);
  if (recorded) {
    if (recorded.root === rootText) return recorded;
    throw new CodedError('INPUT_INVALID', `the profile kept for this root is of ${recorded.root}`);
  }
  const entry = await unixfs.entry(contentKey(root), want);
  if (entry.kind !== 'directory') return undefined;
  const link = entry.entries.indexOf(Buffer.from(PROFILE_ENTRY));
  if (link < 0) return undefined;
  const profile = await readProfile(unixfs, entry.entries.key(link), want);
  if (profile.root === (await rootWithoutProfile(unixfs, root, want))) return profile;
  throw new CodedError('INPUT_INVALID', `the profile that came with the content is of ${profile.root}`);
}

/** The CIDv1 of the directory block `bytes` with no entry of a profile. @throws where it is no dag-pb block */
function cidWithoutProfile(bytes: Uint8Array): string {
  const { Links, Data } = decode(bytes);
  const without = encode({ Links: Links.filter(({ Name }) => Name !== PROFILE_ENTRY), ...(Data ? { Data } : {}) });
  return CID.createV1(DAG_PB, create(SHA2_256, createHash('sha256').update(without).digest())).toString();
}

async function rootWithoutProfile(unixfs: UnixfsReader, root: CID, want: WantOptions): Promise<string> {
  return root.code === DAG_PB ? cidWithoutProfile(await unixfs.blocks.get(root, want)) : root.toV1().toString();
}

async function readProfile(unixfs: UnixfsReader, key: ContentKey, want: WantOptions): Promise<BootProfile> {
  const entry = await unixfs.entry(key, want);
  if (entry.kind !== 'file') throw new CodedError('INPUT_INVALID', `not a boot profile: a ${entry.kind}`);
  const { sizeBytes } = entry.file;
  if (sizeBytes > MAX_PROFILE_BYTES) throw new CodedError('INPUT_INVALID', 'not a boot profile: it is too large');
  if (codecOf(key) === CODEC_RAW)
    return decodeProfile(Buffer.from(await unixfs.blocks.get(cidOf(key), want)).toString());
  const extents = await unixfs.file(key, sizeBytes).locate(0, sizeBytes, want);
  return decodeProfile(Buffer.concat(await readExtents(unixfs.blocks, extents, want, () => {})).toString());
}

function cidNamed(name: string): CID {
  try {
    return CID.parse(name);
  } catch {
    throw new CodedError('INPUT_INVALID', `there is no profile named "${name}"`);
  }
}
