/**
 * How many bytes the path to one source holds: its rate times its delay, both found by what comes.
 *
 * Little may be under way at first. It becomes up to twice as much each time that all of it came as quickly as from an empty path,
 * or so much faster than before that it paid: a link of 100 Mbit/s has 170 ms of blocks on it then, and one of 1 Gbit/s is full
 * after four round trips. From there on the rate is that at which they come while as many are under way as may be. One that comes
 * much faster than was thought is searched again: of small blocks a processor may have been the bound.
 */

/** 170 ms of 100 Mbit/s. */
const FIRST_BYTES = 2 * 1024 * 1024;
/** 1 Gbit/s at a quarter of a second; what comes is in memory until it is written. */
const MAX_BYTES = 32 * 1024 * 1024;
/** Of a path that holds next to nothing: 20 ms of 100 Mbit/s. */
const MIN_BYTES = 256 * 1024;
/** Of the least delay of blocks as large, what answers take on the average at most on a path that is not full. */
const QUICK_DELAYS = 1.5;
/** A link that takes longer over it is full with that: twice as much would only stand in front of readers. */
const MAX_MS = 1000;
/** Twice as much under way brings twice as much on an empty path, and no more on a full one. A Kubo node, slower with each, brings less. */
const DOUBLING_PAYS = 1.25;
/** A rate is measured over so many round trips and answers: what a busy processor held back comes at once thereafter. */
const MEASURED_ROUND_TRIPS = 4;
const MEASURED_ANSWERS = 8;
/** Of the answers, those before which as much was under way as may be. */
const FULL_SHARE = 0.8;
/** So much more than the rate that was found is another path. */
const FASTER = 1.25;
/** A rate that still grows was measured over the time before it did, too. */
const MOST_PATHS = 2;
/** Below this a block's size says nothing of its delay. */
const LEAST_SIZE = 8 * 1024;
/** Of what it was thought to hold, what is under way first when it is searched again. */
const SEARCHED_AGAIN = 2;

export interface PathAnswer {
  readonly nowMs: number;
  /** Of a block. */
  readonly bytes: number;
  /** How long ago its request was made; undefined where the request had brought others before. */
  readonly delayMs: number | undefined;
  /** As much was under way as may be. */
  readonly isFull: boolean;
}

/** What came since a moment. */
class Period {
  readonly #sinceMs: number;
  bytes = 0;
  answers = 0;
  #largest = 0;
  #leastDelays = 0;
  #delays = 0;
  #full = 0;

  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  /** `leastDelayMs`: of blocks as large. */
  add({ bytes, delayMs, isFull }: PathAnswer, leastDelayMs: number): void {
    this.bytes += bytes;
    if (delayMs !== undefined) {
      this.#delays++;
      this.#leastDelays += delayMs / leastDelayMs;
    }
    this.answers++;
    this.#largest = Math.max(this.#largest, bytes);
    if (isFull) this.#full++;
  }

  /** As much was under way as may be, nearly all the time. */
  get wasFull(): boolean {
    return this.#full >= FULL_SHARE * this.answers;
  }

  /** How many times the least delay of their size answers took. */
  get meanDelays(): number {
    return this.#delays > 0 ? this.#leastDelays / this.#delays : Number.POSITIVE_INFINITY;
  }

  tookMs(nowMs: number): number {
    return Math.max(0.001, nowMs - this.#sinceMs);
  }

  rateAt(nowMs: number): number {
    return this.bytes / this.tookMs(nowMs);
  }

  /** At the least: most of the largest may have been under way before. */
  leastRateAt(nowMs: number): number {
    return (this.bytes - this.#largest) / this.tookMs(nowMs);
  }
}

export class PathBytes {
  readonly #leastRequestBytes: number;
  #searched = FIRST_BYTES;
  /** Of the last period of a search; 0 in the first one. */
  #searchedRate = 0;
  /** At which the path is full, in bytes a millisecond; 0 while it is searched for. */
  #rate = 0;
  /** By size: a Kubo node takes three times as long over 1 MiB as over 3 KB, of which its link is the least part. */
  readonly #leastDelays = new Map<number, { readonly delayMs: number; readonly bytes: number }>();
  /** Of what came last. */
  #usualBytes = 0;
  #period: Period | undefined;

  /** A request takes no less of the path than `leastRequestBytes`. */
  constructor(leastRequestBytes: number) {
    this.#leastRequestBytes = leastRequestBytes;
  }

  /** What may be under way while the path is searched. */
  get searched(): number {
    return this.#searched;
  }

  /** What it holds `times` over. */
  holds(times: number): number {
    if (this.#rate === 0) return this.#searched;
    const { delayMs, bytes } = this.#leastDelay;
    const wayMs = Math.max(0, delayMs - bytes / this.#rate);
    return Math.min(MAX_BYTES, Math.max(MIN_BYTES, times * this.#rate * wayMs));
  }

  /** The rate, in bytes a millisecond, where a search ended with this answer. */
  answered(answer: PathAnswer): number | undefined {
    const { nowMs, bytes, delayMs } = answer;
    const size = sizeClass(bytes);
    let least = this.#leastDelays.get(size);
    if (delayMs !== undefined && !(delayMs >= (least?.delayMs ?? Number.POSITIVE_INFINITY))) {
      least = { delayMs, bytes };
      this.#leastDelays.set(size, least);
    }
    this.#period ??= new Period(nowMs - (delayMs ?? 0));
    this.#period.add(answer, least?.delayMs ?? 1);
    return this.#rate === 0 ? this.#search(this.#period, nowMs) : this.#measure(this.#period, nowMs);
  }

  #search(period: Period, nowMs: number): number | undefined {
    const isAll = period.bytes >= this.#searched;
    // Of small blocks no more are under way, however much may be.
    if (!isAll && period.answers * this.#leastRequestBytes < this.#searched) return undefined;
    const tookMs = period.tookMs(nowMs);
    const rate = period.rateAt(nowMs);
    const former = this.#searchedRate;
    const pays = former > 0 && rate >= DOUBLING_PAYS * former && tookMs <= MAX_MS;
    const isQuick = period.wasFull && tookMs <= MAX_MS && period.meanDelays <= QUICK_DELAYS;
    this.#begin(period, nowMs);
    // What fewer requests than might have been under way brought says nothing of what more would.
    this.#searchedRate = period.wasFull ? rate : 0;
    if (isAll && (isQuick || pays)) this.#searched = Math.min(MAX_BYTES, this.#more(rate));
    else if (former > 0 && !pays && period.wasFull) {
      this.#rate = rate;
      return rate;
    }
    return undefined;
  }

  /** Of blocks as large as the usual one, or else of any. */
  get #leastDelay(): { readonly delayMs: number; readonly bytes: number } {
    const usual = this.#leastDelays.get(sizeClass(this.#usualBytes));
    const [first = { delayMs: 0, bytes: 0 }, ...others] = this.#leastDelays.values();
    return usual ?? others.reduce((least, other) => (other.delayMs < least.delayMs ? other : least), first);
  }

  /** Twice as much, as long as that is not far beyond what the path would hold at this rate. */
  #more(rate: number): number {
    return Math.min(
      2 * this.#searched,
      Math.max(FASTER * this.#searched, MOST_PATHS * rate * this.#leastDelay.delayMs),
    );
  }

  #measure(period: Period, nowMs: number): undefined {
    if (period.answers < MEASURED_ANSWERS || period.bytes < this.holds(1)) return;
    if (period.tookMs(nowMs) < MEASURED_ROUND_TRIPS * this.#leastDelay.delayMs) return;
    this.#begin(period, nowMs);
    const rate = period.leastRateAt(nowMs);
    if (rate > FASTER * this.#rate) {
      this.#searched = this.holds(SEARCHED_AGAIN);
      this.#searchedRate = 0;
      this.#rate = 0;
    } else if (period.wasFull || rate > this.#rate) this.#rate = period.wasFull ? period.rateAt(nowMs) : rate;
  }

  #begin(former: Period, nowMs: number): void {
    this.#usualBytes = former.bytes / former.answers;
    this.#period = new Period(nowMs);
  }
}

/** Sizes within a factor of two are one. */
function sizeClass(bytes: number): number {
  return Math.floor(Math.log2(Math.max(bytes, LEAST_SIZE)));
}
