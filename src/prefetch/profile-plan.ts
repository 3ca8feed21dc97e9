/**
 * A boot profile as a plan: its blocks in its order, nothing to be decoded. Those that stand in a group come with it, in the
 * place of the first of them. They are handed out one by one as soon as it is over: of a source that sends no groups they are
 * fetched so, and what a start needs first must not wait there for all that it needs later. The first groups may be on their way
 * already (`coming`).
 */
import type { ContentKey } from '../unixfs/content-key.ts';
import type { BlockGroup, BootProfile } from './boot-profile.ts';
import type { BlockPlan, PlannedBlock, PlannedGroup } from './plan.ts';
import type { ComingStart } from './shipped-request.ts';

export class ProfilePlan implements BlockPlan {
  readonly claimedBytes = 0;
  readonly metadataDone = false;
  readonly #blocks: BootProfile['blocks'];
  readonly #coming: ComingStart | undefined;
  readonly #groupOf = new Map<ContentKey, BlockGroup>();
  readonly #left: Iterator<[ContentKey, number]>;
  readonly #handedOut = new Set<BlockGroup>();
  /** Of groups that are over, and how many of these were handed out. */
  readonly #ofGroups: ContentKey[] = [];
  #ofGroupsOut = 0;
  #groupBytesOut = 0;

  constructor({ blocks, groups = [] }: BootProfile, coming?: ComingStart) {
    this.#blocks = blocks;
    this.#coming = coming;
    this.#left = blocks.entries();
    for (const group of groups) for (const key of group.blocks) this.#groupOf.set(key, group);
  }

  next(): PlannedBlock | PlannedGroup | undefined {
    const ofGroup = this.#ofGroups[this.#ofGroupsOut];
    if (ofGroup !== undefined) {
      this.#ofGroupsOut++;
      return planned(ofGroup, this.#sizeOf(ofGroup));
    }
    for (;;) {
      const { done, value } = this.#left.next();
      if (done) return undefined;
      const [key, sizeBytes] = value;
      const group = this.#groupOf.get(key);
      if (!group) return planned(key, sizeBytes);
      if (!this.#handedOut.has(group)) return this.#handOut(group);
    }
  }

  /** None of them leads anywhere. */
  open(): void {}

  #handOut(group: BlockGroup): PlannedGroup {
    const { key: node, blocks } = group;
    this.#handedOut.add(group);
    const expectedBytes = blocks.reduce((sum, key) => sum + this.#sizeOf(key), 0);
    this.#groupBytesOut += expectedBytes;
    const isComing = this.#coming && this.#groupBytesOut <= this.#coming.bytes;
    const after = isComing ? this.#coming?.over : undefined;
    return { node, blocks, expectedBytes, after, over: () => void this.#ofGroups.push(...blocks) };
  }

  #sizeOf(key: ContentKey): number {
    return this.#blocks.get(key) ?? 0;
  }
}

function planned(key: ContentKey, sizeBytes: number): PlannedBlock {
  return { key, claimedBytes: Number.NaN, expectedBytes: sizeBytes || undefined, inner: false, stage: 1 };
}
