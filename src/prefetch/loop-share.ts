/**
 * What the background leaves of the event loop.
 *
 * One thread serves readers, Docker's calls and the background. The want queue sees to it that the background takes no more
 * of the link than is spare; where the link is faster than we are (a gateway on this machine or in its network, blocks of a
 * few bytes), the thread is what there is too little of, and each of a reader's thousand steps would wait for a turn of the
 * background's. So it begins nothing new while there are readers and the loop is nearly always at work.
 */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../blocks/clock.ts';

/** Of the time since a sample the loop was at work, in 0..1. */
export type LoopUse = () => number;

/** What readers can count on having at once; on a link of 1 Gbit/s the background alone takes about half. */
const LIMIT = 0.85;
const SAMPLE_MS = 20;
/** Whatever readers do, the background has a sample's time so often: at 2 %, it still comes to its end. */
const MAX_HOLD_MS = 1000;

export class LoopShare {
  readonly #clock: Clock;
  readonly #requests: () => number;
  readonly #use: LoopUse;
  #requestsSeen = 0;
  #sampledMs: number;
  #heldSinceMs: number | undefined;

  /** `requests`: how many readers have made so far. */
  constructor(clock: Clock, requests: () => number, use: LoopUse = loopUse()) {
    this.#clock = clock;
    this.#requests = requests;
    this.#use = use;
    this.#sampledMs = clock.nowMs();
  }

  /** For so long nothing more of the background should begin; 0 where it may. */
  get holdMs(): number {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#sampledMs >= SAMPLE_MS) this.#sample(nowMs);
    return this.#heldSinceMs === undefined ? 0 : Math.max(1, this.#sampledMs + SAMPLE_MS - nowMs);
  }

  #sample(nowMs: number): void {
    this.#sampledMs = nowMs;
    const requests = this.#requests();
    const busy = this.#use() > LIMIT && requests !== this.#requestsSeen;
    this.#requestsSeen = requests;
    const held = this.#heldSinceMs;
    if (!busy || (held !== undefined && nowMs - held >= MAX_HOLD_MS)) this.#heldSinceMs = undefined;
    else this.#heldSinceMs ??= nowMs;
  }
}

/** Of this thread, each time since the last. */
function loopUse(): LoopUse {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
