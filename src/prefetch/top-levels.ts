/**
 * The largest directories at the top of a volume, as a plan: what every program walks through on its way, one round trip
 * after the other. For a start of which nothing is known, between its Mount and its first look.
 *
 * A link that claims more than a block can measure leads to a directory, or to a file of several blocks, whose own block
 * is small; what claims less, or nothing, may be a file in one block, which is not to stand before a start's first reads.
 */
import { MAX_BLOCK_BYTES } from '../blocks/block.ts';
import type { ContentKey } from '../unixfs/content-key.ts';
import type { UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import { type BlockPlan, Plan, type PlannedBlock } from './plan.ts';

/** Some ten milliseconds of the processor's, of which the start of a container needs all it can have. */
const MAX_BLOCKS = 32;

export class TopLevels implements BlockPlan {
  readonly claimedBytes = 0;
  readonly metadataDone = false;
  readonly #plan: Plan;
  #left = MAX_BLOCKS;

  constructor(root: ContentKey) {
    this.#plan = new Plan(root);
  }

  next(): PlannedBlock | undefined {
    while (this.#left > 0 && !this.#plan.metadataDone) {
      const block = this.#plan.next();
      if (!block) return undefined;
      if (block.again) return block;
      // The root comes first, and nobody claims anything of it.
      if (this.#left < MAX_BLOCKS && !(block.claimedBytes > MAX_BLOCK_BYTES)) {
        this.#plan.open(block);
        continue;
      }
      this.#left--;
      return block;
    }
    return undefined;
  }

  /** The first that cannot be had ends it: the fill that follows says why. */
  open(block: PlannedBlock, entry?: UnixfsEntry): void {
    if (!entry) this.#left = 0;
    this.#plan.open(block, entry);
  }
}
