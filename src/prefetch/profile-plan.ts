/** A boot profile as a plan: its blocks in its order, nothing to be opened. */
import { CID } from 'multiformats/cid';
import { contentKey } from '../unixfs/content-key.ts';
import type { BootProfile } from './boot-profile.ts';
import type { BlockPlan, PlannedBlock } from './plan.ts';

export class ProfilePlan implements BlockPlan {
  readonly claimedBytes = 0;
  readonly metadataDone = false;
  readonly #blocks: readonly string[];
  #next = 0;

  constructor({ blocks }: BootProfile) {
    this.#blocks = blocks;
  }

  next(): PlannedBlock | undefined {
    const block = this.#blocks[this.#next++];
    return block === undefined
      ? undefined
      : { key: contentKey(CID.parse(block)), claimedBytes: Number.NaN, inner: false, stage: 1 };
  }

  open(): void {}
}
