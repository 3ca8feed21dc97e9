/** Bytes a second of counters that are looked at now and then: that of the last few seconds, weighted toward now. */

/** What is older than this weighs less than a third. */
const MEMORY_MS = 3000;

interface Counter {
  bytes: number;
  atMs: number;
  rate: number;
}

export class Rates {
  readonly #counters = new Map<string, Counter>();

  /** Takes a look at the counter `key`, which has come to `bytes`; gives its rate. A counter that fell began anew. */
  look(key: string, bytes: number, nowMs: number): number {
    const counter = this.#counters.get(key);
    if (!counter) {
      this.#counters.set(key, { bytes, atMs: nowMs, rate: 0 });
      return 0;
    }
    const elapsedMs = nowMs - counter.atMs;
    if (elapsedMs <= 0) return counter.rate;
    const newest = (Math.max(0, bytes - counter.bytes) * 1000) / elapsedMs;
    counter.rate += (1 - Math.exp(-elapsedMs / MEMORY_MS)) * (newest - counter.rate);
    counter.bytes = bytes;
    counter.atMs = nowMs;
    return counter.rate;
  }
}
