/**
 * How many bytes under way fill the path to one source, and no more: as many as bring what more of them would not (`path-step.ts`).
 *
 * Below that the link idles; above it they only stand in a queue on the way, in front of whoever wants something next. So it is what
 * the path holds, its rate times its delay (Little's law). The rate is the best that was seen lately, the delay the least, by size:
 * noise makes rates lower and delays longer, never the reverse (BBR's model of a path, Cardwell and others, 2016). Of a source that is
 * slower with each, the delay is as much longer as answers took where more still paid.
 *
 * It begins with a search (`PathSearch`), cruises at what that found, and from time to time tries more for a moment, since links and
 * neighbours change, and after that less, so that a queue on the way drains and the delay is seen as it is.
 */
import { AnswerRound, type PathAnswer } from './answer-round.ts';
import { LeastDelays } from './least-delays.ts';
import { FIRST_BYTES, PathSearch } from './path-search.ts';
import { pays, type Step, slownessOf } from './path-step.ts';
import { RecentBest } from './recent-best.ts';
import { SpareTrim } from './spare-trim.ts';

/** 1 Gbit/s at a quarter of a second; what comes is in memory until it is written. */
const MAX_BYTES = 32 * 1024 * 1024;
/** Of look-ahead on a path that holds next to nothing: 20 ms of 100 Mbit/s. */
const MIN_AHEAD_BYTES = 256 * 1024;
/** For what requests bring, before the first were answered: UnixFS's old chunk size. */
const GUESSED_BYTES = 256 * 1024;
/**
 * What a request takes of the path at least, be it for a block of a few bytes: 256 of these are what may be under way at first. Of a
 * source whose processor is slow (a Kubo node's, 0.3 ms for each) as many are some 80 ms.
 */
export const LEAST_REQUEST_BYTES = 8 * 1024;

/** A round is judged on at least this many answers: fewer are noise. */
const MIN_ROUND_ANSWERS = 8;
/** Rounds at what was found before trying more. */
const CRUISE_ROUNDS = 6;
/** What a round counts towards that while readers wait beside the fill: fewer than one in a hundred of them may feel the try. */
const SHARED_ROUND = 1 / 96;
/** Readers come and go: one in the last so many rounds is one beside the fill. */
const READER_ROUNDS = 16;
const FIRST_TRY = 1.1;
/** Each try that paid is followed by one that is so many times as large, up to doubling. */
const BOLDER = 1.25;
/** So much more than the rate that was found is another path: of small blocks a processor may have been the bound. */
const FASTER = 1.25;
/** Of what it would hold at that rate, what may be under way first when it is searched again. */
const SEARCHED_AGAIN = 2;
/** Of what was found, for one round after each try. */
const DRAIN = 0.75;
/** Of the round before: what falls further is not at its end. */
const DRAINED = 0.9;
/** Readers may have more under way than the window; with more than this, what came says nothing of it. */
const DRIVEN_PAST = 1.5;
/** Up to the next whole request only where a good part of it is needed. */
const ROUNDING = 0.1;

type Phase = 'cruise' | 'more' | 'drain';

export class PathWindow {
  #search: PathSearch | undefined = new PathSearch(false);
  /** Once that is over. */
  #phase: Phase = 'drain';
  #bytes = FIRST_BYTES;
  /** False in the first round of a phase: what comes then was sent in the former one. */
  #measuring = false;
  #round: AnswerRound | undefined;
  /** What a try must beat, and what a drain is compared to. */
  #base: Step | undefined;
  readonly #rate = new RecentBest(Math.max);
  readonly #delays = new LeastDelays();
  /** Of a byte of what came last. */
  #leastDelayMs = 0;
  /** How many times the least delay answers take where more would still pay. */
  #slowness = 1;
  #blockBytes = GUESSED_BYTES;
  /** Small ones take more of the path than their bytes. */
  #loadOfByte = 1;
  readonly #trim = new SpareTrim();
  #growth = FIRST_TRY;
  #cruised = 0;
  /** How many times the least delay answers took in the round before, of a drain. */
  #drained = Number.POSITIVE_INFINITY;
  #failedInRound = false;
  #sharedRounds = 0;
  #received = 0;

  /** Requests that fill the path, as large as they lately were. */
  get size(): number {
    return Math.max(2, Math.ceil(this.#bytes / this.#blockBytes - ROUNDING));
  }

  /** All that was answered so far, to be noted when a request is sent. */
  get receivedBytes(): number {
    return this.#received;
  }

  /** What `bytes` take on the path at its rate, as far as that is known. */
  timeMsOf(bytes: number): number {
    return this.#rate.value > 0 ? bytes / this.#rate.value : 0;
  }

  /**
   * What may be under way already when a request for `bytes` starts: while the path is searched, so much that it fits; then what the
   * path holds `times` over, and about half of it may be too much. `spare`: for the background, which leaves readers a little.
   */
  roomFor(bytes: number, times: number, spare: boolean): number {
    if (this.#search) return Math.max(this.#bytes - bytes, bytes / 2);
    const block = this.#blockBytes;
    // The window holds the one that is on the link, too.
    const wayBytes = Math.max(0, (spare ? this.#spareBytes : this.#bytes) - block);
    const aheadBytes = spare ? 0 : Math.max(times * wayBytes, MIN_AHEAD_BYTES) + bytes / 2;
    return Math.max(Math.min(bytes, block), wayBytes + (block + bytes) / 2 - ROUNDING * bytes, aheadBytes);
  }

  answered(answer: PathAnswer): void {
    const { nowMs, bytes, delayMs } = answer;
    this.#received += bytes;
    const formerMs = answer.isFirst ? this.#delays.saw(bytes, delayMs) : undefined;
    this.#round ??= new AnswerRound(nowMs - delayMs);
    const round = this.#round;
    round.add(answer, this.#received, formerMs, this.#slowness);
    if (answer.forReader) this.#sharedRounds = READER_ROUNDS;
    if (round.load < this.#bytes) return;
    if (this.#search) this.#searched(this.#search, round, nowMs);
    else if (round.answers >= MIN_ROUND_ANSWERS) this.#judge(round, answer);
  }

  /** A request failed: less at once, but once only for all that fail together, and climbing again from there. */
  failed(): void {
    if (this.#failedInRound) return;
    this.#rate.scale(0.7);
    this.#search?.failed();
    this.#phase = 'cruise';
    this.#resize(0.7 * this.#bytes);
    this.#cruised = CRUISE_ROUNDS;
    this.#measuring = false;
    this.#round = undefined;
    this.#failedInRound = true;
  }

  get #spareBytes(): number {
    if (this.#phase !== 'cruise' || this.#sharedRounds === 0) return this.#bytes;
    const requests = this.#bytes / this.#blockBytes;
    return (this.#bytes * this.#trim.from(requests)) / requests;
  }

  /** What the path holds. */
  get #knee(): number {
    return this.#rate.value * this.#loadOfByte * this.#leastDelayMs * this.#slowness;
  }

  #searched(search: PathSearch, round: AnswerRound, nowMs: number): void {
    const found = search.judge(round, nowMs, this.#bytes);
    if (!found) return;
    this.#begin(round, nowMs);
    if ('bytes' in found) {
      this.#resize(found.bytes);
      return;
    }
    this.#search = undefined;
    this.#rate.add(found.rate);
    this.#base = found.base;
    this.#slowness = found.slowness;
    this.#enter('drain', this.#knee * DRAIN);
  }

  #judge(round: AnswerRound, { nowMs, loadBytes }: PathAnswer): void {
    const { slowdown } = round;
    const rate = round.rateAt(nowMs);
    // Not held back by the window, or driven past it by readers: what came says nothing about the window.
    const isValid = round.wasFull && loadBytes <= DRIVEN_PAST * this.#bytes + 2 * this.#blockBytes;
    const isShared = this.#sharedRounds > 0;
    if (isShared) this.#sharedRounds--;
    const wasMeasuring = this.#measuring;
    const best = this.#rate.value;
    this.#begin(round, nowMs);
    if (isValid && isShared && this.#phase === 'cruise')
      this.#trim.judge(round.standingMs, this.#blockBytes / best, rate / best, this.#bytes / this.#blockBytes);
    this.#rate.add(rate);
    if (best > 0 && rate > FASTER * best) {
      this.#search = new PathSearch(true);
      this.#resize(Math.max(this.#bytes, this.#knee * SEARCHED_AGAIN));
      return;
    }
    if (!isValid) {
      // Readers who drove past the window found that the path holds more.
      if (this.#phase === 'cruise' && this.#knee > this.#bytes) this.#resize(this.#knee);
      return;
    }
    this.#measuring = true;
    if (!wasMeasuring) {
      this.#drained = slowdown;
      return;
    }
    const step = { bytes: round.loadBytes, rate, slowdown };
    switch (this.#phase) {
      case 'more':
        if (this.#base && pays(step, this.#base)) {
          this.#slowness = slownessOf(this.#base);
          this.#growth = Math.min(2, this.#growth * BOLDER);
          this.#tryMore(step);
        } else this.#enter('drain', this.#knee * DRAIN);
        break;
      case 'drain':
        // What stood there before leaves by and by.
        if (slowdown < DRAINED * this.#drained) {
          this.#drained = slowdown;
          break;
        }
        // Where more paid, how long answers took with less is no queue.
        this.#slowness = this.#base && pays(this.#base, step) ? slownessOf(step) : 1;
        this.#enter('cruise', this.#knee);
        break;
      default:
        this.#cruised += isShared ? SHARED_ROUND : 1;
        if (this.#cruised < CRUISE_ROUNDS) this.#resize(this.#knee);
        else {
          // What was seen two tries ago no longer counts.
          this.#rate.age();
          this.#delays.age();
          this.#growth = FIRST_TRY;
          this.#tryMore({ ...step, rate: Math.min(best, this.#rate.value) });
        }
    }
  }

  /** By a share of what the path holds, or one block more than now. */
  #tryMore(base: Step): void {
    this.#base = base;
    const before = this.#bytes;
    this.#enter('more', Math.max(before + this.#blockBytes, this.#knee * this.#growth));
    // Nowhere further to go.
    if (this.#bytes === before) this.#phase = 'drain';
  }

  #enter(phase: Phase, bytes: number): void {
    this.#phase = phase;
    this.#resize(bytes);
    this.#cruised = 0;
    this.#drained = Number.POSITIVE_INFINITY;
    this.#measuring = false;
  }

  #resize(bytes: number): void {
    this.#bytes = Math.max(LEAST_REQUEST_BYTES, Math.min(bytes, MAX_BYTES));
  }

  #begin(former: AnswerRound, nowMs: number): void {
    this.#blockBytes = former.blockBytes;
    this.#loadOfByte = former.loadOfByte;
    this.#leastDelayMs = former.leastDelayMs || this.#leastDelayMs;
    this.#round = new AnswerRound(nowMs);
    this.#failedInRound = false;
  }
}
