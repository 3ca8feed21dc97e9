/**
 * A boot profile as a plan: its blocks in its order, nothing to be decoded. Those that stand in a group come with it, in the
 * place of the first of them; what did not come is handed out by itself when all groups are over.
 */
import type { ContentKey } from '../unixfs/content-key.ts';
import type { BlockGroup, BootProfile } from './boot-profile.ts';
import type { BlockPlan, PlannedBlock } from './plan.ts';

export class ProfilePlan implements BlockPlan {
  readonly claimedBytes = 0;
  readonly metadataDone = false;
  readonly #blocks: BootProfile['blocks'];
  readonly #groupOf = new Map<ContentKey, BlockGroup>();
  #left: Iterator<[ContentKey, number]>;
  /** Groups that were handed out; the second time through there is none left to be. */
  readonly #handedOut = new Set<BlockGroup>();
  #groupsOut = 0;
  #isSecondTime = false;

  constructor({ blocks, groups = [] }: BootProfile) {
    this.#blocks = blocks;
    this.#left = blocks.entries();
    for (const group of groups) for (const key of group.blocks) this.#groupOf.set(key, group);
  }

  next(): PlannedBlock | undefined {
    for (;;) {
      const { done, value } = this.#left.next();
      if (done && (this.#isSecondTime || this.#handedOut.size === 0)) return undefined;
      if (done) return this.#groupsOut > 0 ? undefined : this.#again();
      const [key, sizeBytes] = value;
      const group = this.#groupOf.get(key);
      if (this.#isSecondTime === (group !== undefined)) return planned(key, sizeBytes);
      if (group && !this.#isSecondTime && !this.#handedOut.has(group)) return this.#handOut(group);
    }
  }

  open({ brings }: PlannedBlock): void {
    if (brings) this.#groupsOut--;
  }

  #handOut(group: BlockGroup): PlannedBlock {
    this.#handedOut.add(group);
    this.#groupsOut++;
    const sizeBytes = group.blocks.reduce((sum, key) => sum + (this.#blocks.get(key) ?? 0), 0);
    return { ...planned(group.key, sizeBytes), inner: true, brings: group.blocks };
  }

  #again(): PlannedBlock | undefined {
    this.#isSecondTime = true;
    this.#left = this.#blocks.entries();
    return this.next();
  }
}

function planned(key: ContentKey, sizeBytes: number): PlannedBlock {
  return { key, claimedBytes: Number.NaN, expectedBytes: sizeBytes || undefined, inner: false, stage: 1 };
}
