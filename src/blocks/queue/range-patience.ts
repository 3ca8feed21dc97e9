/**
 * Whether a source is asked for ranges that has sent nothing of some. A gateway may serve blocks at once and make every CAR wait,
 * behind a queue of its own or a proxy that wants it whole: each range is five seconds of whoever waits for it then. Or it may
 * answer with other content than was asked for, eight megabytes for each range of a few bytes. Nothing else shows either, since the
 * blocks that are wanted one by one afterwards come well.
 *
 * So after two in a row it is left alone with ranges, for a time that doubles. Then one is sent, and no other until that one's
 * first block.
 */
import { type Backoff, backoffMs } from '../backoff.ts';
import type { Clock } from '../clock.ts';

/** One may be about its content: who searches for what nobody has at hand says nothing either. */
const SILENCES_IN_A_ROW = 2;
/** A range that was given up sooner says nothing of its source. */
const LEAST_MS = 1000;
/** Five seconds of a reader's minute, and less each time: blocks one by one take a few round trips more, and are well. */
const REST: Backoff = { firstMs: 60_000, maxMs: 600_000 };

export class RangePatience {
  readonly #clock: Clock;
  readonly #random: () => number;
  #silences = 0;
  #lastSilenceMs = Number.NEGATIVE_INFINITY;
  #rests = 0;
  #restsUntilMs = Number.NEGATIVE_INFINITY;
  #isTried = false;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** True where a range may be sent. */
  get mayAsk(): boolean {
    return this.#rests === 0 || (!this.#isTried && this.#clock.nowMs() >= this.#restsUntilMs);
  }

  /** One is sent. One of those below follows. */
  sent(): void {
    this.#isTried = true;
  }

  /** What it begins with came, or an answer that has nothing. */
  answered(): void {
    this.#isTried = false;
    this.#silences = 0;
    this.#rests = 0;
  }

  /** It was given up without a block. */
  nothingCame(sentAtMs: number): void {
    this.#isTried = false;
    if (this.#clock.nowMs() - sentAtMs >= LEAST_MS) this.othersCame(sentAtMs);
  }

  /** Other blocks came. Those that were on their way together, by when they were sent, are one. */
  othersCame(sentAtMs: number): void {
    this.#isTried = false;
    if (sentAtMs < this.#lastSilenceMs) return;
    const nowMs = this.#clock.nowMs();
    this.#lastSilenceMs = nowMs;
    if (++this.#silences >= SILENCES_IN_A_ROW) {
      this.#restsUntilMs = nowMs + backoffMs(REST, ++this.#rests, this.#random);
    }
  }
}
