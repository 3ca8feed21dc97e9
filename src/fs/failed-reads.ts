/**
 * What failed to be read a moment ago.
 *
 * A read that fails is the kernel's readahead in most cases, and the kernel asks for its first page again at once. If that
 * waited for its time-out again, every reader would wait twice. What of the range could not be had fails again at once. But
 * the rest of it may be there: so within the moment it is asked for, and what is not there fails as before, after a short
 * grace instead of the whole time-out.
 */
import { LRUCache } from 'lru-cache';
import type { NodeId } from './file-system.ts';

/** The second request comes within microseconds; this allows for a busy machine. */
const LEAST_MS = 100;
/** Where a thousand readers' time ran out together, the last of them gets to ask again only then. */
const MOST_MS = 1000;
/** What is in memory or on the local disk comes well within this. */
const GRACE_MS = 100;
/** Files with failures kept. */
const FILES_KEPT = 4096;
/** Failures kept of one file: the readers that we promise, each somewhere else in it, when their time runs out together. */
const FAILURES_KEPT = 256;

export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

interface Failure {
  readonly asked: ByteRange;
  /** What could not be had, where that is known; else all of it. */
  readonly failed: ByteRange;
  readonly untilMs: number;
  readonly error: unknown;
}

export interface EarlierFailure {
  readonly error: unknown;
  /** True where it covers some of the very bytes that could not be had. */
  readonly certain: boolean;
}

export class FailedReads {
  readonly #now: () => number;
  /** Of each file the latest last. */
  readonly #byNode = new LRUCache<NodeId, readonly Failure[]>({ max: FILES_KEPT });

  /** `now` in milliseconds, from any start. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** A read that failed within the last moment, and covers what could not be had or all of the range. */
  find(node: NodeId, { from, to }: ByteRange): EarlierFailure | undefined {
    const failures = this.#byNode.get(node);
    if (!failures) return undefined;
    const nowMs = this.#now();
    const recent = failures.filter(({ untilMs }) => nowMs < untilMs);
    const certain = recent.find(({ failed }) => from < failed.to && to > failed.from);
    const earlier = certain ?? recent.find(({ asked }) => from >= asked.from && to <= asked.to);
    return earlier && { error: earlier.error, certain: earlier === certain };
  }

  /**
   * `waitedMs`: how long the read took. A tenth of that, within bounds, it is remembered: who waited a minute must not wait
   * another because the machine is busy; who was refused at once may ask again at once.
   */
  remember(node: NodeId, asked: ByteRange, failed: ByteRange | undefined, error: unknown, waitedMs: number): void {
    const nowMs = this.#now();
    const untilMs = nowMs + Math.min(Math.max(waitedMs / 10, LEAST_MS), MOST_MS);
    const former = (this.#byNode.get(node) ?? []).filter((each) => nowMs < each.untilMs);
    this.#byNode.set(node, [...former, { asked, failed: failed ?? asked, untilMs, error }].slice(-FAILURES_KEPT));
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
