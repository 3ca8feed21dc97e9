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
/** Of one node: its readers' time may run out together, wherever in it each of them is. */
const FAILURES_KEPT = 256;

interface Failure {
  readonly offset: number;
  readonly end: number;
  readonly untilMs: number;
  readonly error: unknown;
}

export class FailedReads {
  readonly #now: () => number;
  readonly #byNode = new Map<number, readonly Failure[]>();

  /** `now` in milliseconds, from any start. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The error of a READ that failed within the last moment and covers this range. */
  find(node: number, offset: number, length: number): unknown {
    if (this.#byNode.size === 0) return undefined;
    const nowMs = this.#now();
    const covers = (failure: Failure) =>
      offset >= failure.offset && offset + length <= failure.end && nowMs <= failure.untilMs;
    return this.#byNode.get(node)?.find(covers)?.error;
  }

  /** `waitedMs`: how long the READ took. Forgets what is older, so that this never grows beyond what fails at once. */
  remember(node: number, offset: number, length: number, error: unknown, waitedMs: number): void {
    const nowMs = this.#now();
    const isOver = ({ untilMs }: Failure) => nowMs > untilMs;
    for (const [old, failures] of this.#byNode) if (failures.every(isOver)) this.#byNode.delete(old);
    const failure = { offset, end: offset + length, untilMs: nowMs + failureMemoryMs(waitedMs), error };
    const former = (this.#byNode.get(node) ?? []).filter((each) => !isOver(each));
    this.#byNode.set(node, [...former, failure].slice(-FAILURES_KEPT));
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
