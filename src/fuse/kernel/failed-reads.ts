/**
 * What failed to be read a moment ago.
 *
 * A READ that fails is readahead in most cases, and the kernel asks for its first page again at once. If that waited for
 * its time-out again, every reader would wait twice. But only some block of the range has failed, perhaps not the one
 * that holds the page: so within the moment, what is there is served, and what is not fails as before after a short
 * grace instead of the whole time-out.
 */

import { failureMemoryMs } from '../../fs/failure-memory.ts';

/** What is in memory or on the local disk comes well within this. */
const GRACE_MS = 100;

interface Failure {
  readonly offset: number;
  readonly end: number;
  readonly untilMs: number;
  readonly error: unknown;
}

export class FailedReads {
  readonly #now: () => number;
  readonly #byNode = new Map<number, Failure>();

  /** `now` in milliseconds, from any start. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The error of a READ that failed within the last moment and covers this range. */
  find(node: number, offset: number, length: number): unknown {
    if (this.#byNode.size === 0) return undefined;
    const failure = this.#byNode.get(node);
    if (!failure || offset < failure.offset || offset + length > failure.end) return undefined;
    return this.#now() > failure.untilMs ? undefined : failure.error;
  }

  /** `waitedMs`: how long the READ took. Forgets what is older, so that this never grows beyond what fails at once. */
  remember(node: number, offset: number, length: number, error: unknown, waitedMs: number): void {
    const nowMs = this.#now();
    for (const [old, failure] of this.#byNode) {
      if (nowMs > failure.untilMs) this.#byNode.delete(old);
    }
    this.#byNode.set(node, { offset, end: offset + length, untilMs: nowMs + failureMemoryMs(waitedMs), error });
  }
}

/** `work`, or `error` once the grace is over; `giveUp` is called then. */
export function withinGrace<T>(work: Promise<T>, error: unknown, giveUp: () => void): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(error);
    giveUp();
  }, GRACE_MS);
  return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
