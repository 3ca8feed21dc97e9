/**
 * Watches a volume's first minutes: which blocks its readers needed, in what order, and how many of them a profile had
 * named. Only what somebody waited for counts; what was brought ahead shows when it is read.
 */
import type { OnBlock } from '../blocks/block-reader.ts';
import { type BootProfile, MAX_PROFILE_BLOCKS } from './boot-profile.ts';

export class BootRecorder {
  readonly #root: string;
  readonly #blocks = new Set<string>();
  readonly #foretold: ReadonlySet<string>;
  #bytes = 0;
  #hits = 0;

  constructor(root: string, foretold: BootProfile | undefined) {
    this.#root = root;
    this.#foretold = new Set(foretold?.blocks);
  }

  readonly onBlock: OnBlock = (cid, sizeBytes, { priority }) => {
    if (priority !== 'demand') return;
    this.#bytes += sizeBytes;
    if (this.#blocks.size >= MAX_PROFILE_BLOCKS) return;
    const block = cid.toV1().toString();
    if (this.#blocks.has(block)) return;
    this.#blocks.add(block);
    if (this.#foretold.has(block)) this.#hits++;
  };

  get bytesDemanded(): number {
    return this.#bytes;
  }

  /** Of the blocks demanded those that the profile named, 0 to 1; null where nothing was demanded or there was no profile. */
  get hitShare(): number | null {
    return this.#foretold.size > 0 && this.#blocks.size > 0 ? this.#hits / this.#blocks.size : null;
  }

  /** Undefined where nothing was read. */
  profile(): BootProfile | undefined {
    return this.#blocks.size > 0 ? { root: this.#root, runs: 1, blocks: [...this.#blocks] } : undefined;
  }
}
