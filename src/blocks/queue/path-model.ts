/**
 * A path as its answers show it: the best rate and the least delay that were seen lately. Noise (a busy processor, a
 * neighbour) makes a rate lower and a delay longer, never the reverse, so it moves neither.
 */
import { RecentBest } from './recent-best.ts';

export class PathModel {
  readonly #rate = new RecentBest((a, b) => a > b);
  /** The quickest answer, and how large it was: its own bytes took a part of the time. */
  readonly #delay = new RecentBest((a, b) => a < b);

  /** In bytes a millisecond; 0 before one was seen. */
  get rate(): number {
    return this.#rate.value;
  }

  get leastDelayMs(): number {
    return this.#delay.value;
  }

  /** What the quickest answer took beyond its own bytes' time. */
  get wayMs(): number {
    return Math.max(0, this.#delay.value - this.timeMsOf(this.#delay.of));
  }

  /** On the link, at the best rate; infinite before one was seen. */
  timeMsOf(bytes: number): number {
    return bytes / this.#rate.value;
  }

  /** How many requests for `bytes` each it holds: rate times delay, and the one that is on the link. */
  holds(bytes: number): number {
    return this.wayMs / this.timeMsOf(bytes) + 1;
  }

  sawRate(bytesPerMs: number): void {
    this.#rate.add(bytesPerMs, 0);
  }

  sawDelay(delayMs: number, bytes: number): void {
    this.#delay.add(Math.max(delayMs, 0.001), bytes);
  }

  /** What was seen before the last time this was called no longer counts. */
  age(): void {
    this.#rate.age();
    this.#delay.age();
  }

  /** A request failed: it gives only so much of what it did. */
  worsen(factor: number): void {
    this.#rate.scale(factor);
  }
}
