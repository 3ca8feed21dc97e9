/**
 * The least that answers took lately, by their size: on a link what is larger takes its bytes' time longer, and a Kubo node
 * takes three times as long over 1 MiB as over 3 KB, of which its link is the least part. None takes longer than a larger one: where
 * it did, it stood behind others.
 */
import { RecentBest } from './recent-best.ts';

/** Sizes within a factor of two are one, up to 2 MiB; below 8 KiB a block's size says nothing of its delay. */
const LEAST_CLASS = 13;
const CLASSES = 9;

export class LeastDelays {
  readonly #bySize = Array.from({ length: CLASSES }, () => new RecentBest(Math.min));

  /** What an answer of `bytes` took at the least before this one, which took so long; undefined where there was none. */
  saw(bytes: number, delayMs: number): number | undefined {
    const size = Math.min(CLASSES - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes))) - LEAST_CLASS));
    const seen = this.#bySize.slice(size).flatMap(({ value }) => (value > 0 ? [value] : []));
    this.#bySize[size]?.add(Math.max(delayMs, 0.001));
    return seen.length > 0 ? Math.min(...seen) : undefined;
  }

  /** What was seen before the last time this was called no longer counts. */
  age(): void {
    for (const least of this.#bySize) least.age();
  }
}
