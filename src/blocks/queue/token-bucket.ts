/**
 * A bound on bytes a second, for fetching whose sizes are known only afterwards.
 *
 * Each request is charged an estimate when it starts and the difference when it ends. The balance may go below zero;
 * nothing starts until the rate has paid it back, so the average holds exactly and a burst is at most one second's worth.
 */
import type { Clock } from '../clock.ts';

export class TokenBucket {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  #balanceBytes: number;
  #paidAtMs: number;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#balanceBytes = bytesPerSecond;
    this.#paidAtMs = clock.nowMs();
  }

  /** Milliseconds until something may start; 0 for now. */
  readyInMs(): number {
    const nowMs = this.#clock.nowMs();
    const earned = ((nowMs - this.#paidAtMs) / 1000) * this.#bytesPerSecond;
    this.#balanceBytes = Math.min(this.#bytesPerSecond, this.#balanceBytes + earned);
    this.#paidAtMs = nowMs;
    if (this.#balanceBytes > 0) return 0;
    return Math.ceil(((1 - this.#balanceBytes) / this.#bytesPerSecond) * 1000);
  }

  /** Takes `bytes` (negative gives back). */
  charge(bytes: number): void {
    this.#balanceBytes -= bytes;
  }
}
