/** What came while as much as a path may hold came once, on which it is judged. */

/** What is learned from each answer. */
export interface PathAnswer {
  readonly nowMs: number;
  readonly bytes: number;
  /** As the path counts it: a small one takes more of it than its bytes. */
  readonly load: number;
  /** How long ago its request was made. */
  readonly delayMs: number;
  /** The first that its request brought: only that says how long an answer takes. */
  readonly isFirst: boolean;
  /** What had come in all when the request was sent: `receivedBytes` then. */
  readonly receivedBefore: number;
  /** Bytes under way when it came, itself included. */
  readonly loadBytes: number;
  /** As much was under way as may be, that is: it is what held back. */
  readonly isFull: boolean;
  /** A reader waited for it. */
  readonly forReader: boolean;
}

/** Of the answers, those before which as much was under way as may be. */
const FULL_SHARE = 0.8;

export class AnswerRound {
  readonly #sinceMs: number;
  answers = 0;
  bytes = 0;
  load = 0;
  #full = 0;
  #squares = 0;
  #loads = 0;
  #bytesInFlightTimes = 0;
  #delays = 0;
  #firstLoad = 0;
  #loadLeastDelays = 0;
  #laterLoad = 0;
  #laterDelays = 0;
  #laterLeastDelays = 0;
  readonly #standingMs: number[] = [];

  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  /**
   * `receivedBytes`: all that came until now, itself included; `formerMs`: as `LeastDelays.saw`; `slowness`: how many times the
   * least is usual. What is not the first of its request says nothing of delays.
   */
  add(answer: PathAnswer, receivedBytes: number, formerMs: number | undefined, slowness: number): void {
    const { bytes, load, delayMs } = answer;
    this.answers++;
    this.bytes += bytes;
    this.load += load;
    this.#squares += load * load;
    // What came while this one was under way, over the time that it took: in sum over a round, no burst distorts it.
    this.#bytesInFlightTimes += receivedBytes - answer.receivedBefore;
    this.#delays += delayMs;
    this.#loads += answer.loadBytes;
    if (answer.isFull) this.#full++;
    if (!answer.isFirst) return;
    const leastMs = Math.min(delayMs, formerMs ?? delayMs);
    this.#firstLoad += load;
    this.#loadLeastDelays += load * leastMs;
    this.#standingMs.push(delayMs - slowness * leastMs);
    // The first of its size is the least of it, however long it took.
    if (formerMs === undefined) return;
    this.#laterLoad += load;
    this.#laterDelays += load * delayMs;
    this.#laterLeastDelays += load * leastMs;
  }

  /** As much was under way as may be, nearly all the time. */
  get wasFull(): boolean {
    return this.#full >= FULL_SHARE * this.answers;
  }

  /** What was under way, on the average. */
  get loadBytes(): number {
    return this.#loads / this.answers;
  }

  /** Of the block to which a byte of it belongs, on the average: what whoever comes finds on the link. */
  get blockBytes(): number {
    return this.#squares / this.load;
  }

  /**
   * In bytes a millisecond: by the time that passed, and by what came while each was under way. What a busy processor held back
   * comes at once thereafter, which makes the one too high; a few large ones among small ones do it to the other.
   */
  rateAt(nowMs: number): number {
    return Math.min(this.growingRateAt(nowMs), this.#bytesInFlightTimes / Math.max(this.#delays, 0.001));
  }

  /** The same while ever more is under way. */
  growingRateAt(nowMs: number): number {
    return this.bytes / this.tookMs(nowMs);
  }

  tookMs(nowMs: number): number {
    return Math.max(0.001, nowMs - this.#sinceMs);
  }

  /** Of the path, what a byte of it takes: more than one where blocks are small. */
  get loadOfByte(): number {
    return this.load / Math.max(1, this.bytes);
  }

  /** What a byte of it takes to come at the least; 0 where there is no telling. */
  get leastDelayMs(): number {
    return this.#firstLoad > 0 ? this.#loadLeastDelays / this.#firstLoad : 0;
  }

  /** How many times as long as the least it took; infinite where most of it was the first of its size, and there is no telling. */
  get slowdown(): number {
    return 2 * this.#laterLoad >= this.#firstLoad && this.#laterLeastDelays > 0
      ? this.#laterDelays / this.#laterLeastDelays
      : Number.POSITIVE_INFINITY;
  }

  /** The median of what answers took beyond the usual. */
  get standingMs(): number {
    return this.#standingMs.toSorted((a, b) => a - b)[this.#standingMs.length >> 1] ?? 0;
  }
}
