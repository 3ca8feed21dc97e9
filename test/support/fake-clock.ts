/**
 * A clock that a test moves by hand. Between two timers everything that the first set off has run.
 */
import type { Clock } from '../../src/blocks/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly id: number;
  readonly run: () => void;
}

/** Runs all that is ready: promise reactions of any depth. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock implements Clock {
  #nowMs = 1000;
  #ids = 0;
  readonly #timers: Timer[] = [];

  /** Timers that would still fire. */
  get timers(): number {
    return this.#timers.length;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, run: () => void): () => void {
    // As on every clock time passes, however short the delay: one that is lost in the sum would be waited for again and again, for ever.
    const leastMs = delayMs > 0 ? this.#nowMs * (1 + Number.EPSILON) : this.#nowMs;
    const timer = { atMs: Math.max(leastMs, this.#nowMs + delayMs), id: this.#ids++, run };
    this.#timers.splice(this.#placeOf(timer), 0, timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
  }

  /** A promise for `delayMs` later. */
  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.schedule(delayMs, resolve));
  }

  /** Lets `durationMs` pass. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    await settle();
    for (let timer = this.#timers[0]; timer && timer.atMs <= endMs; timer = this.#timers[0]) {
      this.#timers.shift();
      this.#nowMs = Math.max(this.#nowMs, timer.atMs);
      timer.run();
      await settle();
    }
    this.#nowMs = endMs;
  }

  /** First by time, then by age. */
  #placeOf(timer: Timer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#timers[middle] as Timer;
      if (other.atMs <= timer.atMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
