/**
 * How long one request for a block may take: a fixed time where nothing comes, and on and on while it comes.
 *
 * On a slow link a block takes longer than a source may be silent, and with others beside it several times as long. Given up
 * then, its bytes are thrown away, the next request throws away as many, and nothing ever arrives. But a source that sends
 * a byte now and then would hold up whoever waits: what comes must come at a pace at which it would be here in the end.
 */
import type { Clock } from '../clock.ts';

/** In so many times the limit a whole block must come: of 20 s five minutes, 3.5 kB/s for one of 1 MiB. */
const LIMITS_A_BLOCK = 15;

export class AttemptLimit {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #expectedBytes: number;
  readonly #startedAtMs: number;
  #bytes = 0;
  #stopTimer: () => void = () => {};

  /** `onEnd` is called once, unless it was stopped before. */
  constructor(clock: Clock, limitMs: number, expectedBytes: number, onEnd: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#expectedBytes = expectedBytes;
    this.#startedAtMs = clock.nowMs();
    const watch = () => {
      this.#stopTimer = clock.schedule(limitMs, () => {
        if (this.moves) watch();
        else onEnd();
      });
    };
    watch();
  }

  /** So many bytes more of it came. */
  came(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Whether anything came. */
  get hasBegun(): boolean {
    return this.#bytes > 0;
  }

  /** Whether it comes, at such a pace. */
  get moves(): boolean {
    const share = (this.#clock.nowMs() - this.#startedAtMs) / (LIMITS_A_BLOCK * this.#limitMs);
    return this.hasBegun && this.#bytes >= share * this.#expectedBytes;
  }

  stop(): void {
    this.#stopTimer();
  }
}
