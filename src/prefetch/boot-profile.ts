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
import { checkCid } from '../blocks/verify.ts';

export interface BootProfile {
  /** The content root that it was recorded on, as a CIDv1. */
  readonly root: string;
  /** Runs merged into it. */
  readonly runs: number;
  /** CIDs, in the order of first need; none twice. */
  readonly blocks: readonly string[];
}

const VERSION = 1;
/** 32 GiB in blocks of 1 MiB, 2 MB of JSON: beyond that there is no "first". */
export const MAX_PROFILE_BLOCKS = 32_768;
/** Of MAX_PROFILE_BLOCKS with the longest CIDs that are allowed. */
export const MAX_PROFILE_BYTES = 8 * 1024 * 1024;

export function encodeProfile({ root, runs, blocks }: BootProfile): string {
  return `${JSON.stringify({ version: VERSION, root, runs, blocks }, null, 1)}\n`;
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
  const { version, root, runs, blocks } = (value ?? {}) as Record<string, unknown>;
  if (version !== VERSION) throw invalid(`its version is not ${VERSION}`);
  if (!Number.isSafeInteger(runs) || (runs as number) < 1) throw invalid('its number of runs cannot be read');
  if (!Array.isArray(blocks) || blocks.length > MAX_PROFILE_BLOCKS) throw invalid('its list of blocks cannot be read');
  return { root: cidText(root), runs: runs as number, blocks: [...new Set(blocks.map(cidText))] };
}

/**
 * What both have: `before` in its order, and each block that only `run` saw behind the one that came before it there.
 * Bounded by leaving out the last.
 */
export function mergeProfiles(before: BootProfile, run: BootProfile): BootProfile {
  const known = new Set(before.blocks);
  const behind = new Map<string, string[]>();
  let anchor = '';
  for (const block of run.blocks) {
    if (known.has(block)) {
      anchor = block;
      continue;
    }
    const list = behind.get(anchor);
    if (list) list.push(block);
    else behind.set(anchor, [block]);
  }
  const blocks = [...(behind.get('') ?? [])];
  for (const block of before.blocks) blocks.push(block, ...(behind.get(block) ?? []));
  return { root: before.root, runs: before.runs + run.runs, blocks: blocks.slice(0, MAX_PROFILE_BLOCKS) };
}

function cidText(value: unknown): string {
  try {
    const cid = CID.parse(value as string).toV1();
    checkCid(cid);
    return cid.toString();
  } catch {
    throw invalid('it holds something that is no CID');
  }
}

function invalid(why: string): CodedError {
  return new CodedError('INPUT_INVALID', `not a boot profile: ${why}`);
}
