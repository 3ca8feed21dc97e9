/** A boot profile as a plan: its blocks in its order, nothing to be opened. */
import type { ContentKey } from '../unixfs/content-key.ts';
import type { BootProfile } from './boot-profile.ts';
import type { BlockPlan, PlannedBlock } from './plan.ts';

export class ProfilePlan implements BlockPlan {
  readonly claimedBytes = 0;
  readonly metadataDone = false;
  readonly #blocks: Iterator<[ContentKey, number]>;

  constructor({ blocks }: BootProfile) {
    this.#blocks = blocks.entries();
  }

  next(): PlannedBlock | undefined {
    const { done, value } = this.#blocks.next();
    if (done) return undefined;
    const [key, sizeBytes] = value;
    return { key, claimedBytes: Number.NaN, expectedBytes: sizeBytes || undefined, inner: false, stage: 1 };
  }

  open(): void {}
}
