/**
 * Failures of a fill, in a row: each makes it slower, doubling, and enough of them end it, whoever runs it comes back later.
 * One block that comes ends the row.
 */
import { codeOf } from '../base/errors.ts';
import { backoffMs } from '../blocks/backoff.ts';
import type { Clock } from '../blocks/clock.ts';

const BACKOFF = { firstMs: 100, maxMs: 30_000 };
/** With the pauses between them a minute or more of nothing but failures. */
const FAILURES_IN_A_ROW = 32;
/** Of blocks that came and are not kept: a disk that is full stays so for days, and each block is paid for. */
const NOT_KEPT_IN_A_ROW = 4;

export class FillFailures {
  readonly #clock: Clock;
  #inARow = 0;
  #pausedUntilMs = 0;
  #last: unknown;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get last(): unknown {
    return this.#last;
  }

  /** For so long nothing more is to be asked for; not above 0 where it may be now. */
  get pauseMs(): number {
    return this.#inARow > 0 ? this.#pausedUntilMs - this.#clock.nowMs() : 0;
  }

  /** So many that the fill is to end. */
  get areTooMany(): boolean {
    return this.#inARow >= FAILURES_IN_A_ROW || this.areForNothing;
  }

  /** What comes is not kept: what is on its way is for nothing, too. */
  get areForNothing(): boolean {
    return codeOf(this.#last) === 'STORE_FULL' && this.#inARow >= NOT_KEPT_IN_A_ROW;
  }

  cameOne(): void {
    this.#inARow = 0;
  }

  add(error: unknown): void {
    this.#last = error;
    this.#inARow++;
    const pauseMs = backoffMs(BACKOFF, this.#inARow, Math.random);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#clock.nowMs() + pauseMs);
  }
}
