/**
 * What was wanted and how long it took, by priority: plain numbers for `status` and metrics.
 */
import { PRIORITIES, type Priority } from '../priority.ts';

/** Upper bounds of the wait histogram's buckets, in milliseconds; one more bucket holds what took longer. */
export const WAIT_BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000] as const;

export interface PriorityStats {
  /** Callers that asked, and those whose wait ended in an error (not by their own abort). */
  readonly wants: number;
  readonly failures: number;
  /** Blocks that came for this priority (the most urgent one who waited), and their bytes. */
  readonly blocks: number;
  readonly bytes: number;
  /** Callers answered with a block, by their wait: one count a bound, and the rest. Not cumulative. */
  readonly waitBuckets: readonly number[];
  readonly waitSumMs: number;
}

export class WantStats {
  readonly #byRank = PRIORITIES.map(() => ({
    wants: 0,
    failures: 0,
    blocks: 0,
    bytes: 0,
    waitBuckets: new Array<number>(WAIT_BOUNDS_MS.length + 1).fill(0),
    waitSumMs: 0,
  }));

  wanted(rank: number): void {
    this.#at(rank).wants++;
  }

  failed(rank: number): void {
    this.#at(rank).failures++;
  }

  fetched(rank: number, bytes: number): void {
    const stats = this.#at(rank);
    stats.blocks++;
    stats.bytes += bytes;
  }

  answered(rank: number, waitMs: number): void {
    const stats = this.#at(rank);
    const found = WAIT_BOUNDS_MS.findIndex((boundMs) => waitMs <= boundMs);
    const bucket = found < 0 ? WAIT_BOUNDS_MS.length : found;
    stats.waitBuckets[bucket] = (stats.waitBuckets[bucket] ?? 0) + 1;
    stats.waitSumMs += waitMs;
  }

  /** A copy. */
  snapshot(): Readonly<Record<Priority, PriorityStats>> {
    const entries = PRIORITIES.map((priority, rank) => {
      const stats = this.#at(rank);
      return [priority, { ...stats, waitBuckets: [...stats.waitBuckets] }] as const;
    });
    return Object.fromEntries(entries) as Record<Priority, PriorityStats>;
  }

  #at(rank: number) {
    const stats = this.#byRank[rank];
    if (stats === undefined) throw new RangeError(`no priority ${rank}`);
    return stats;
  }
}
