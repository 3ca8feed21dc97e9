/**
 * The boot profile for a mount: the one its options name, else the one of earlier runs on this machine, else the one that
 * came with the content (`shipped-profile.ts`). One that is not of this root, or cannot be had, is ignored, and said so.
 * Where nothing is to be fetched that nobody reads (`fetches` is false), only one that is at hand is found: it measures a start.
 */
import { code as DAG_PB } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { CodedError, hasCode, messageChain } from '../base/errors.ts';
import type { WantOptions } from '../blocks/block-reader.ts';
import { BlocksHere } from '../blocks/blocks-here.ts';
import { parseCidText } from '../blocks/parse-cid.ts';
import { CODEC_RAW, type ContentKey, cidOf, codecOf, contentKey } from '../unixfs/content-key.ts';
import { readExtents } from '../unixfs/read-extents.ts';
import type { UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import { type BootProfile, decodeProfile, MAX_PROFILE_BYTES, withoutBlock } from './boot-profile.ts';
import type { ProfileStore } from './profile-store.ts';
import { cidWithoutProfile, PROFILE_ENTRY } from './shipped-profile.ts';
import type { ShippedRequest } from './shipped-request.ts';

export interface ProfileSources {
  readonly unixfs: UnixfsReader;
  readonly profiles: ProfileStore;
}

export interface FoundProfile {
  /** Of this root: where it named the root without itself, that is put right. Undefined where there is none. */
  readonly profile: BootProfile | undefined;
  readonly origin: 'named' | 'recorded' | 'shipped';
  /** Why one that there is was passed over, for people. */
  readonly ignored: readonly string[];
  /** The content's own did not come in time, and may the next time. */
  readonly isLate: boolean;
}

export interface ProfileWanted {
  readonly root: CID;
  /** The volume's option. */
  readonly named: string | undefined;
  /** Whether a profile is worth a request, or only one that is at hand is used. */
  readonly fetches: boolean;
  /** The content's own, where it is on its way. */
  readonly shipped?: ShippedRequest | undefined;
}

/** Undefined where the content has one and it is not at hand, which is for another mount to fetch. @throws ABORTED alone */
export async function findProfile(
  { unixfs, profiles }: ProfileSources,
  { root, named, fetches, shipped }: ProfileWanted,
  want: WantOptions,
): Promise<FoundProfile | undefined> {
  const sources = { unixfs: fetches ? unixfs : new UnixfsReader(new BlocksHere(unixfs.blocks)), profiles };
  const ignored: string[] = [];
  let isLate = false;
  const places: readonly [FoundProfile['origin'], string, () => Promise<BootProfile | undefined>][] = [
    ['named', `the profile "${named}"`, () => namedProfile(sources, named, want)],
    ['recorded', 'the profile kept here', async () => profiles.get(root.toV1().toString())],
    ['shipped', 'the profile that came with the content', () => shippedProfile(sources.unixfs, root, want, shipped)],
  ];
  for (const [origin, what, look] of places) {
    try {
      const profile = await look();
      if (!profile) continue;
      return { profile: await ofThisRoot(sources.unixfs, profile, root, want), origin, ignored, isLate };
    } catch (error) {
      if (hasCode(error, 'ABORTED')) throw error;
      if (!fetches && hasCode(error, 'BLOCK_UNAVAILABLE')) {
        if (origin === 'shipped') return undefined;
        continue;
      }
      isLate ||= origin === 'shipped' && hasCode(error, 'BLOCK_TIMEOUT');
      ignored.push(`${what}: ${messageChain(error)}`);
    }
  }
  return { profile: undefined, origin: 'recorded', ignored, isLate };
}

/** The root without its profile is as good: it is the tree that the profile was recorded on. @throws INPUT_INVALID */
async function ofThisRoot(
  unixfs: UnixfsReader,
  profile: BootProfile,
  root: CID,
  want: WantOptions,
): Promise<BootProfile> {
  const rootText = root.toV1().toString();
  if (profile.root === rootText) return profile;
  const bare = root.code === DAG_PB ? cidWithoutProfile(await unixfs.blocks.get(root, want)) : rootText;
  if (profile.root !== bare) throw new CodedError('INPUT_INVALID', `it is of ${profile.root}, not of this root`);
  // Nobody need have the block of the bare root.
  return { ...withoutBlock(profile, contentKey(CID.parse(bare))), root: rootText };
}

async function namedProfile(
  { unixfs, profiles }: ProfileSources,
  named: string | undefined,
  want: WantOptions,
): Promise<BootProfile | undefined> {
  if (named === undefined) return undefined;
  return profiles.get(named) ?? (await readProfile(unixfs, contentKey(cidNamed(named)), want));
}

async function shippedProfile(
  unixfs: UnixfsReader,
  root: CID,
  want: WantOptions,
  shipped: ShippedRequest | undefined,
): Promise<BootProfile | undefined> {
  const entry = await rootEntry(unixfs, root, want);
  if (entry?.kind !== 'directory') return undefined;
  const link = entry.entries.indexOf(Buffer.from(PROFILE_ENTRY));
  if (link < 0) return undefined;
  // A want for what is on its way would be a second request.
  await shipped?.profile;
  return await readProfile(unixfs, entry.entries.key(link), want);
}

/** Undefined where it cannot be had: whoever lists the root will be told why, and that is no profile's fault. @throws ABORTED */
async function rootEntry(unixfs: UnixfsReader, root: CID, want: WantOptions): Promise<UnixfsEntry | undefined> {
  try {
    return await unixfs.entry(contentKey(root), want);
  } catch (error) {
    if (hasCode(error, 'ABORTED')) throw error;
    return undefined;
  }
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
    return parseCidText(name);
  } catch {
    throw new CodedError(
      'INPUT_INVALID',
      `there is none of that name here; "ipfs-volume profile import --name ${name} FILE" brings it`,
    );
  }
}
