/**
 * What failed to be read a moment ago.
 *
 * A READ that fails is readahead in most cases, and the kernel asks for its first page again at once. If that waited for
 * its time-out again, every reader would wait twice. But only some block of the range has failed, perhaps not the one
 * that holds the page: so within the moment, what is there is served, and what is not fails as before after a short
 * grace instead of the whole time-out.
 */

/** The kernel's second request comes within microseconds; this allows for a busy machine. */
const MEMORY_MS = 100;
/** What is in memory or on the local disk comes well within this. */
const GRACE_MS = 100;

interface Failure {
  readonly offset: number;
  readonly end: number;
  readonly atMs: number;
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
    if (this.#now() - failure.atMs > MEMORY_MS) return undefined;
    return failure.error;
  }

  /** Forgets what is older than a moment, so that this never grows beyond what fails at once. */
  remember(node: number, offset: number, length: number, error: unknown): void {
    const atMs = this.#now();
    for (const [old, failure] of this.#byNode) {
      if (atMs - failure.atMs > MEMORY_MS) this.#byNode.delete(old);
    }
    this.#byNode.set(node, { offset, end: offset + length, atMs, error });
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
