/**
 * How much of a boot profile, or of the background, may be under way at one source while its path is not known yet: little, and
 * twice as much each time that all of it came in no more than two round trips. So it ends at about what the path holds twice: a
 * link of 100 Mbit/s has 170 ms of a start's blocks on it, and one of 1 Gbit/s is full after three round trips.
 *
 * The window of requests would be found too late for that: it counts, and of a start's blocks a hundred are as large as one.
 */

/** 170 ms of 100 Mbit/s. */
export const FIRST_BYTES = 2 * 1024 * 1024;
/** 1 Gbit/s at a quarter of a second; what comes is in memory until it is written. */
const MAX_BYTES = 32 * 1024 * 1024;
const ROUND_TRIPS = 2;
/** A link that takes longer over it is full with that: twice as much would only stand in front of readers. */
const MAX_MS = 1000;

export class FirstBytes {
  #limit = FIRST_BYTES;
  #came = 0;
  #sinceMs: number | undefined;
  #leastDelayMs = Number.POSITIVE_INFINITY;

  get limit(): number {
    return this.#limit;
  }

  /** A request made `delayMs` ago was answered with so many bytes. */
  answered(nowMs: number, bytes: number, delayMs: number): void {
    this.#leastDelayMs = Math.min(this.#leastDelayMs, delayMs);
    this.#sinceMs ??= nowMs - delayMs;
    this.#came += bytes;
    if (this.#came < this.#limit) return;
    const isQuick = nowMs - this.#sinceMs <= Math.min(MAX_MS, ROUND_TRIPS * this.#leastDelayMs);
    if (isQuick) this.#limit = Math.min(MAX_BYTES, 2 * this.#limit);
    this.#came = 0;
    this.#sinceMs = nowMs;
  }
}
