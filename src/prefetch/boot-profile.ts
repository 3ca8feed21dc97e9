/**
 * A boot profile: the blocks that a volume's first minutes asked for, in that order.
 *
 * Blocks and not ranges of files, because blocks are what is fetched: a profile is replayed without decoding anything,
 * directories and inner nodes stand in it where they were needed, and ranges that touch are one block of it. It belongs
 * to one root; content never changes, so it never grows stale.
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
}

const VERSION = 1;
/** 32 GiB in blocks of 1 MiB, 2 MB of JSON: beyond that there is no "first". */
export const MAX_PROFILE_BLOCKS = 32_768;
/** Of MAX_PROFILE_BLOCKS with the longest CIDs that are allowed. */
export const MAX_PROFILE_BYTES = 8 * 1024 * 1024;

/** As JSON: CIDv1s, and the sizes in the same order, without which a profile is as good as it was before there were any. */
export function encodeProfile({ root, runs, blocks }: BootProfile): string {
  const cids = [...blocks.keys()].map((key) => cidOf(key).toString());
  return `${JSON.stringify({ version: VERSION, root, runs, blocks: cids, sizes: [...blocks.values()] }, null, 1)}\n`;
}

/** @throws INPUT_INVALID for whatever is not a profile, whole and of a version that is known. */
export function decodeProfile(text: string): BootProfile {
  if (text.length > MAX_PROFILE_BYTES) throw invalid('it is too large');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('it is not JSON');
  }
  const { version, root, runs, blocks, sizes = [] } = (value ?? {}) as Record<string, unknown>;
  if (version !== VERSION) throw invalid(`its version is not ${VERSION}`);
  if (!Number.isSafeInteger(runs) || (runs as number) < 1) throw invalid('its number of runs cannot be read');
  if (!Array.isArray(blocks) || blocks.length > MAX_PROFILE_BLOCKS) throw invalid('its list of blocks cannot be read');
  if (!Array.isArray(sizes) || !sizes.every(isBlockSize)) throw invalid('its list of sizes cannot be read');
  const sized = blocks.map((text, index): [ContentKey, number] => [contentKey(readCid(text)), sizes[index] ?? 0]);
  return { root: readCid(root).toString(), runs: runs as number, blocks: new Map(sized) };
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
  return { root: before.root, runs: before.runs + run.runs, blocks: new Map(sized) };
}

/** `profile` without the block `key`. */
export function withoutBlock(profile: BootProfile, key: ContentKey): BootProfile {
  const blocks = new Map(profile.blocks);
  blocks.delete(key);
  return { ...profile, blocks };
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
