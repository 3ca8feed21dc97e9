/**
 * How long a source usually takes, and from when on it is slower than that.
 *
 * Mean and mean deviation, smoothed, and the bound four deviations above the mean: TCP's retransmission timer (RFC 6298),
 * which solves the same question for the same reason.
 */

/** Before the first answer: RFC 6298's second, doubled because a source may have to connect. */
const UNKNOWN_SLOW_MS = 2000;
/** Below this a second request costs more than the wait. */
const MIN_SLOW_MS = 100;
/** Above this a reader should have a second chance whatever the source's habits. */
const MAX_SLOW_MS = 5000;

export class UsualDelay {
  #meanMs: number | undefined;
  #deviationMs = 0;

  add(delayMs: number): void {
    if (this.#meanMs === undefined) {
      this.#meanMs = delayMs;
      this.#deviationMs = delayMs / 2;
      return;
    }
    this.#deviationMs += (Math.abs(delayMs - this.#meanMs) - this.#deviationMs) / 4;
    this.#meanMs += (delayMs - this.#meanMs) / 8;
  }

  /** A request older than this is slower than usual; `onTheWayMs`: what it and all before it take of the path's time. */
  slowAfterMs(onTheWayMs: number): number {
    if (this.#meanMs === undefined) return UNKNOWN_SLOW_MS;
    const usualMs = Math.max(MIN_SLOW_MS, this.#meanMs + 4 * this.#deviationMs);
    return Math.min(MAX_SLOW_MS, usualMs + onTheWayMs);
  }
}
