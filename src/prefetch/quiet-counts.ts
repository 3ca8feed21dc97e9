/**
 * Counts what is here of volumes that nobody uses, so that `status` can say it after a restart: one volume after the other,
 * in a fifth of the thread's time at the most, and in none of it while readers need it all.
 *
 * A count is kept right by what the cache says of each block that goes, and so takes 11 to 16 bytes a block for as long
 * as the daemon runs: beyond a bound, volumes stay uncounted until they are mounted. A disk that does not answer seems to have
 * nothing: what was counted meanwhile is thrown away.
 */
import { CodedError, codeOf } from '../base/errors.ts';
import type { Clock } from '../blocks/clock.ts';
import { pause } from './pause.ts';

/** Rest for each time that was worked. */
const REST_SHARE = 4;
/** 11 to 16 MB of fingerprints. */
const MAX_BLOCKS = 1_000_000;

export type QuietCount = 'done' | 'later' | 'never';

/** To be awaited after each turn's work of so many ms. */
export type Rest = (tookMs: number) => Promise<void>;

export class QuietCounts {
  readonly #clock: Clock;
  readonly #holdMs: () => number;
  readonly #unanswered: () => number;
  #last: Promise<void> = Promise.resolve();

  /** `holdMs`: for so long the background is to begin nothing. `unanswered`: how often a disk could not say what it has. */
  constructor(clock: Clock, holdMs: () => number, unanswered: () => number) {
    this.#clock = clock;
    this.#holdMs = holdMs;
    this.#unanswered = unanswered;
  }

  /**
   * Begins `count` when those before it have ended. `later` where `signal` ended it, a disk did not answer, or others leave no
   * memory for it; `never` where it needs more than they leave. `blocksCounted` has those of a count under way. @throws what
   * `count` does
   */
  add(signal: AbortSignal, blocksCounted: () => number, count: (rest: Rest) => Promise<void>): Promise<QuietCount> {
    const counted = this.#last.then(async (): Promise<QuietCount> => {
      if (signal.aborted || blocksCounted() >= MAX_BLOCKS) return 'later';
      const unanswered = this.#unanswered();
      const isSure = () => this.#unanswered() === unanswered;
      let tooMany = false;
      const rest: Rest = async (tookMs) => {
        tooMany = blocksCounted() > MAX_BLOCKS;
        if (tooMany || !isSure()) throw new CodedError('ABORTED', 'the count was ended');
        await pause(this.#clock, Math.max(tookMs * REST_SHARE, this.#holdMs()), signal);
      };
      try {
        await count(rest);
        return isSure() ? 'done' : 'later';
      } catch (error) {
        if (signal.aborted || codeOf(error) === 'ABORTED') return tooMany ? 'never' : 'later';
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
