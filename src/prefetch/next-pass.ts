/**
 * When the next pass over a mounted volume is due: the first once the start leaves it time, then soon and ever later after a failure, with room in the cache where that
 * was full, and where all was brought, once something may have gone. What makes the waits end early is an abort, and `now`.
 */

import { backoffMs } from '../blocks/backoff.ts';
import type { Clock } from '../blocks/clock.ts';
import { pause } from './pause.ts';

/** Between two passes over what could not be had: the first soon, since an outage is often over soon. */
const RETRY = { firstMs: 5000, maxMs: 300_000 };
/** Room in the cache comes with an eviction or the end of another volume. */
const FULL_RETRY_MS = 60_000;
/** A small cache never has that much, and less is enough for what is nearly whole. */
const ROOM_WORTH_A_PASS_BYTES = 64 * 1024 * 1024;
/** What others' blocks pushed out is noticed within this, and with less than two per cent of the processor's time. */
const RECOUNT_MS = 60_000;
const RECOUNT_SHARE = 50;

export class NextPass {
  readonly #clock: Clock;
  /** Aborts where a count is due at once. */
  #due = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * That counts first, what a start needs being on its way as `profile`: when that is over, or the start goes on no more, as
   * `holdMs` says. A rate, or a source that is away, may keep a profile for hours. @throws ABORTED
   */
  async thatCountsFirst(profile: Promise<unknown>, holdMs: () => number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const end = () => over.abort();
    void profile.then(end, end);
    const either = AbortSignal.any([signal, over.signal]);
    try {
      for (let leftMs = holdMs(); leftMs > 0; leftMs = holdMs()) await pause(this.#clock, leftMs, either);
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }

  /** After so many passes in a row that failed. @throws ABORTED */
  afterFailures(failures: number, signal: AbortSignal): Promise<void> {
    return pause(this.#clock, backoffMs(RETRY, failures, Math.random), signal);
  }

  /** With room, as `hasRoom` says, for a good part of what is missing. @throws ABORTED */
  async withRoom(hasRoom: (bytes: number) => boolean, bytesMissing: () => number, signal: AbortSignal): Promise<void> {
    do await pause(this.#clock, FULL_RETRY_MS, signal);
    while (!hasRoom(Math.min(ROOM_WORTH_A_PASS_BYTES, bytesMissing())));
  }

  /** That counts again, after one that took so long; at once with `now`. @throws ABORTED */
  async thatCounts(tookMs: number, signal: AbortSignal): Promise<void> {
    const delayMs = Math.max(RECOUNT_MS, tookMs * RECOUNT_SHARE);
    try {
      await pause(this.#clock, delayMs, AbortSignal.any([signal, this.#due.signal]));
    } catch (error) {
      if (signal.aborted) throw error;
    }
    this.#due = new AbortController();
  }

  /** Blocks went or came that nobody named. */
  now(): void {
    this.#due.abort();
  }
}
