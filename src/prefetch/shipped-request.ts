/**
 * What may have come with a content (`shipped-profile.ts`), asked for while its root is not here yet: by name, which a gateway finds
 * its way to. A first mount then has its profile, and what the start needs first, along with the root and not two round trips
 * behind it. Where there is none the answer is the root's own block; sources that send no ranges are not asked.
 */
import type { CID } from 'multiformats/cid';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import type { DagScope } from '../blocks/block-source.ts';
import { PROFILE_ENTRY, START_ENTRY } from './shipped-profile.ts';

/** Of a thousand blocks; one that is larger comes as well, up to a block's bound. */
const LIKELY_PROFILE_BYTES = 128 * 1024;
/** What may be under way to a source of which nothing is known: 100 Mbit/s are busy with it for 84 ms, until more is asked for. */
const START_BYTES = 1024 * 1024;

export interface ShippedRequest {
  /** Over once the profile is here, or will not come. Never rejects. */
  readonly profile: Promise<unknown>;
  readonly start: ComingStart;
}

/** The first groups of a profile (`BlockGroup`) are on their way. */
export interface ComingStart {
  /** No more than these. */
  readonly bytes: number;
  /** Never rejects. */
  readonly over: Promise<unknown>;
}

export function requestShipped(blocks: BlockReader, root: CID, want: WantOptions): ShippedRequest {
  const ask = (scope: DagScope) => blocks.fetchRange(root, scope, want);
  return {
    profile: ask({ treeBytes: LIKELY_PROFILE_BYTES, entry: PROFILE_ENTRY }),
    start: { bytes: START_BYTES, over: ask({ from: 0, to: START_BYTES - 1, entry: START_ENTRY }) },
  };
}
