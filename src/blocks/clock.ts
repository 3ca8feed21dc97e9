/**
 * Time, as the want queue sees it: handed in, so that the tests run hours of it in no time.
 */

export interface Clock {
  /** Milliseconds since some fixed moment; never runs backward. */
  nowMs(): number;
  /** Calls `run` once after `delayMs`; what it returns forgets it (harmless afterwards). */
  schedule(delayMs: number, run: () => void): () => void;
}

/** The machine's own, by the monotonic clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  schedule(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
