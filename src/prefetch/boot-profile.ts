/**
 * A boot profile: the blocks that a volume's first minutes asked for, in that order.
 *
 * Blocks and not ranges of files, because blocks are what is fetched: a profile is replayed without decoding anything,
 * directories and inner nodes stand in it where they were needed, and ranges that touch are one block of it. It belongs
 * to one root; content never changes, so it never grows stale.
 *
 * Its small blocks may stand in groups: files of their own whose leaves are these blocks, so that a gateway sends a
 * whole group in one answer (`ipfs-volume add --profile` makes them, docs/decisions/shipping-profiles.md).
 *
 * Reads that the kernel's page cache answers are invisible: that a block is not seen proves nothing, and merging never
 * drops one for it.
 */
import { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { MAX_BLOCK_BYTES } from '../blocks/block.ts';
import { checkCid } from '../blocks/verify.ts';
import { type ContentKey, cidOf, contentKey } from '../unixfs/content-key.ts';

export interface BootProfile {
  /** The content root that it was recorded on, as a CIDv1. */
  readonly root: string;
  /** Runs merged into it. */
  readonly runs: number;
  /** In the order of first need, and what each measures, as far as that was seen: 0 where it was not. */
  readonly blocks: ReadonlyMap<ContentKey, number>;
  /** Blocks of it that are the leaves of one file, no more than MAX_GROUP_BYTES of them; no block is in two. */
  readonly groups?: readonly BlockGroup[] | undefined;
}

export interface BlockGroup {
  /** The file's root. */
  readonly key: ContentKey;
  /** Each has its size in the profile's. */
  readonly blocks: readonly ContentKey[];
}

const VERSION = 1;
const [COMMA, ARRAY, OBJECT] = [0x2c, 0x5b, 0x7b];
/** 32 GiB in blocks of 1 MiB, 2 MB of JSON: beyond that there is no "first". */
export const MAX_PROFILE_BLOCKS = 32_768;
/** Of MAX_PROFILE_BLOCKS with the longest CIDs that are allowed. */
export const MAX_PROFILE_BYTES = 8 * 1024 * 1024;
/**
 * For each block its CID, its size, and as much as a group of its own takes. JSON of MAX_PROFILE_BYTES may hold forty times as
 * many, which took a third of a gigabyte and, at each mount, most of a second, only to be refused.
 */
const MAX_PROFILE_VALUES = 8 * MAX_PROFILE_BLOCKS;
/** A request for one that claims more would fill the path for as long as it lasts; readers wait behind a block of as much, too. */
export const MAX_GROUP_BYTES = MAX_BLOCK_BYTES;

/**
 * As JSON: CIDv1s, the sizes in the same order, and the groups by places in it; without sizes and groups a profile is as good as it
 * was before there were any.
 */
export function encodeProfile({ root, runs, blocks, groups = [] }: BootProfile): string {
  const keys = [...blocks.keys()];
  const cids = keys.map((key) => cidOf(key).toString());
  const value = { version: VERSION, root, runs, blocks: cids, sizes: [...blocks.values()] };
  if (groups.length === 0) return `${JSON.stringify(value, null, 1)}\n`;
  const placeOf = new Map(keys.map((key, place) => [key, place]));
  const placed = groups.map((group) => ({
    cid: cidOf(group.key).toString(),
    blocks: group.blocks.map((key) => placeOf.get(key)),
  }));
  return `${JSON.stringify({ ...value, groups: placed }, null, 1)}\n`;
}

/** @throws INPUT_INVALID for whatever is not a profile, whole and of a version that is known. */
export function decodeProfile(text: string): BootProfile {
  if (text.length > MAX_PROFILE_BYTES) throw invalid('it is too large');
  if (holdsTooMuch(text)) throw invalid('it holds more than a profile may');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('it is not JSON');
  }
  const { version, root, runs, blocks, sizes = [], groups = [] } = (value ?? {}) as Record<string, unknown>;
  if (version !== VERSION) throw invalid(`its version is not ${VERSION}`);
  if (!Number.isSafeInteger(runs) || (runs as number) < 1) throw invalid('its number of runs cannot be read');
  if (!Array.isArray(blocks) || blocks.length > MAX_PROFILE_BLOCKS) throw invalid('its list of blocks cannot be read');
  if (!Array.isArray(sizes) || !sizes.every(isBlockSize)) throw invalid('its list of sizes cannot be read');
  const sized = blocks.map((text, index): [ContentKey, number] => [contentKey(readCid(text)), sizes[index] ?? 0]);
  const profile = { root: readCid(root).toString(), runs: runs as number, blocks: new Map(sized) };
  return withGroups(profile, readGroups(groups, sized));
}

function readGroups(value: unknown, sized: readonly [ContentKey, number][]): BlockGroup[] {
  const grouped = new Set<ContentKey>();
  const blockAt = (place: unknown): ContentKey => {
    const [key, sizeBytes = 0] = (typeof place === 'number' && sized[place]) || [];
    if (key === undefined || sizeBytes === 0 || grouped.has(key)) throw invalid('its list of groups cannot be read');
    grouped.add(key);
    return key;
  };
  if (!Array.isArray(value)) throw invalid('its list of groups cannot be read');
  return value.map((group: unknown) => {
    const { cid, blocks } = (group ?? {}) as Record<string, unknown>;
    if (!Array.isArray(blocks) || blocks.length === 0) throw invalid('its list of groups cannot be read');
    return { key: contentKey(readCid(cid)), blocks: blocks.map(blockAt) };
  });
}

/**
 * What both have: `before` in its order, and each block that only `run` saw behind the one that came before it there.
 * Bounded by leaving out the last.
 */
export function mergeProfiles(before: BootProfile, run: BootProfile): BootProfile {
  const behind = new Map<ContentKey | undefined, ContentKey[]>();
  let anchor: ContentKey | undefined;
  for (const block of run.blocks.keys()) {
    if (before.blocks.has(block)) {
      anchor = block;
      continue;
    }
    const list = behind.get(anchor);
    if (list) list.push(block);
    else behind.set(anchor, [block]);
  }
  const blocks = [...(behind.get(undefined) ?? [])];
  for (const block of before.blocks.keys()) blocks.push(block, ...(behind.get(block) ?? []));
  const sizeOf = (block: ContentKey) => Math.max(before.blocks.get(block) ?? 0, run.blocks.get(block) ?? 0);
  const sized = blocks.slice(0, MAX_PROFILE_BLOCKS).map((block): [ContentKey, number] => [block, sizeOf(block)]);
  const merged = { root: before.root, runs: before.runs + run.runs, blocks: new Map(sized) };
  return withGroups(merged, before.groups ?? run.groups);
}

/** `profile` without the block `key`. */
export function withoutBlock({ groups, ...profile }: BootProfile, key: ContentKey): BootProfile {
  const blocks = new Map(profile.blocks);
  blocks.delete(key);
  return withGroups({ ...profile, blocks }, groups);
}

/** Those of `groups` whose blocks it names, all of them and their sizes, and that are not too large. */
function withGroups(profile: BootProfile, groups: BootProfile['groups']): BootProfile {
  const sizeOf = (key: ContentKey) => profile.blocks.get(key) ?? 0;
  const used = groups?.filter(({ blocks }) => {
    return (
      blocks.every((key) => sizeOf(key) > 0) && blocks.reduce((sum, key) => sum + sizeOf(key), 0) <= MAX_GROUP_BYTES
    );
  });
  return used && used.length > 0 ? { ...profile, groups: used } : profile;
}

/** By what stands before each value but one. Of text: no string of a profile has any of these. */
function holdsTooMuch(json: string): boolean {
  let values = 0;
  for (let at = 0; at < json.length && values <= MAX_PROFILE_VALUES; at++) {
    const character = json.charCodeAt(at);
    if (character === COMMA || character === ARRAY || character === OBJECT) values++;
  }
  return values > MAX_PROFILE_VALUES;
}

function isBlockSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_BLOCK_BYTES;
}

function readCid(value: unknown): CID {
  try {
    const cid = CID.parse(value as string).toV1();
    checkCid(cid);
    return cid;
  } catch {
    throw invalid('it holds something that is no CID');
  }
}

function invalid(why: string): CodedError {
  return new CodedError('INPUT_INVALID', `not a boot profile: ${why}`);
}
