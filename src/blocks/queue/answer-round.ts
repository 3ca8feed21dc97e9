/** The answers of one round, as many as the window holds, on which it is judged. */

/** What is learned from each answer. */
export interface WindowSample {
  readonly bytes: number;
  readonly delayMs: number;
  /** What had come in all when the request was sent: `receivedBytes` then. */
  readonly receivedBefore: number;
  /** Requests in flight when it came, itself included. */
  readonly inFlight: number;
  /** The window was full, that is: it is what held back. */
  readonly saturated: boolean;
  /** A reader waited for it. */
  readonly forReader: boolean;
}

export class AnswerRound {
  answers = 0;
  bytes = 0;
  #saturated = 0;
  #bytesInFlightTimes = 0;
  #delays = 0;
  #waysMs: number[] = [];

  /** `bytes` of it at least one; `receivedBytes`: all that came until now, itself included; `wayMs`: what it took beyond its own bytes' time. */
  add(sample: WindowSample, bytes: number, receivedBytes: number, wayMs: number): void {
    this.answers++;
    this.bytes += bytes;
    // What came while this one was under way, over the time that it took: in sum over a round, no burst distorts it.
    this.#bytesInFlightTimes += receivedBytes - sample.receivedBefore;
    this.#delays += sample.delayMs;
    this.#waysMs.push(wayMs);
    if (sample.saturated) this.#saturated++;
  }

  /** Of this round alone: after the block of a large directory come a thousand small ones. */
  get meanBytes(): number {
    return this.bytes / this.answers;
  }

  get bytesPerMs(): number {
    return this.#bytesInFlightTimes / Math.max(this.#delays, 0.001);
  }

  /** Of the answers, those that came while the window was full, 0 to 1. */
  get saturation(): number {
    return this.#saturated / this.answers;
  }

  /** The median of what answers took beyond their own bytes' time. */
  get usualWayMs(): number {
    return this.#waysMs.toSorted((a, b) => a - b)[this.#waysMs.length >> 1] ?? 0;
  }
}
