/**
 * Counts what is here of volumes that nobody uses, so that `status` can say it after a restart: one volume after the other,
 * in a fifth of the thread's time at the most, and in none of it while readers need it all.
 *
 * A count is kept right by what the cache says of each block that goes, and so takes 8 to 16 bytes a block for as long as
 * the daemon runs: beyond a bound, volumes stay uncounted until they are mounted.
 */
import { codeOf } from '../base/errors.ts';
import type { Clock } from '../blocks/clock.ts';
import { pause } from './pause.ts';

/** Rest for each time that was worked. */
const REST_SHARE = 4;
/** 16 MB of fingerprints. */
const MAX_BLOCKS = 1_000_000;

/** To be awaited after each turn's work of so many ms. */
export type Rest = (tookMs: number) => Promise<void>;

export class QuietCounts {
  readonly #clock: Clock;
  readonly #holdMs: () => number;
  #last: Promise<void> = Promise.resolve();

  /** `holdMs`: for so long the background is to begin nothing. */
  constructor(clock: Clock, holdMs: () => number) {
    this.#clock = clock;
    this.#holdMs = holdMs;
  }

  /**
   * Begins `count` when those before it have ended. True where it did; false where `signal` aborted it, or `blocksCounted` of
   * others leave no memory for it. @throws what `count` does
   */
  add(signal: AbortSignal, blocksCounted: () => number, count: (rest: Rest) => Promise<void>): Promise<boolean> {
    const rest: Rest = (tookMs) => pause(this.#clock, Math.max(tookMs * REST_SHARE, this.#holdMs()), signal);
    const counted = this.#last.then(async () => {
      if (signal.aborted || blocksCounted() >= MAX_BLOCKS) return false;
      try {
        await count(rest);
        return true;
      } catch (error) {
        if (signal.aborted || codeOf(error) === 'ABORTED') return false;
        throw error;
      }
    });
    this.#last = counted.then(
      () => undefined,
      () => undefined,
    );
    return counted;
  }
}
