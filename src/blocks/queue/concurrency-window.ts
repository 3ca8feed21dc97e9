/**
 * How many requests at once fill the path to one source, and no more: the number at which more no longer brings more.
 *
 * Below it the link idles; above it requests only stand in a queue on the way, in front of whoever wants something next.
 * A reader behind a background fill feels exactly that queue, so the number must be the knee itself: what the path holds,
 * its rate times its delay (Little's law). The rate is the best that was seen lately, the delay the least: noise (a busy
 * processor, a neighbour) makes a rate lower and a delay longer, never the reverse, so it moves neither. This is BBR's
 * model of a path (Cardwell and others, 2016), for requests instead of packets.
 *
 * It begins where the path was found to be full (`PathBytes`), cruises at the knee, and from time to time tries more for a moment,
 * since links and neighbours change, and after that less, so that a queue on the way drains and the delay is seen as it is.
 */
import { AnswerRound, type WindowSample } from './answer-round.ts';
import { PathModel } from './path-model.ts';
import { SpareTrim } from './spare-trim.ts';

/** From which a failure that comes before the path was found takes its share. */
const START_WINDOW = 16;
/** One to be answered, one on its way. */
const MIN_WINDOW = 2;
/** 256 blocks of 256 KiB are 64 MiB a round trip: 5 Gbit/s at 100 ms. */
const MAX_WINDOW = 256;
/** For what requests bring, before the first were answered: UnixFS's old chunk size. */
const GUESSED_BYTES = 256 * 1024;
/**
 * What a request takes of the path at least, be it for a block of a few bytes: 256 of these are what may be under way at first. Of a
 * source whose processor is slow (a Kubo node's, 0.3 ms for each) as many are some 80 ms.
 */
export const LEAST_REQUEST_BYTES = 8 * 1024;

/** A round is judged on at least this many answers: fewer are noise. */
const MIN_ROUND_ANSWERS = 8;
/** Rounds at the knee before trying more. */
const CRUISE_ROUNDS = 6;
/** What a round counts towards that while readers wait beside the fill: fewer than one in a hundred of them may feel the try. */
const SHARED_ROUND = 1 / 96;
/** Readers come and go: one in the last so many rounds is one beside the fill. */
const READER_ROUNDS = 16;
/** A try brings at best what it adds, and must bring a third of that to be followed by another. */
const TRY_PAYS = 1 / 3;
const FIRST_TRY = 1.1;
/** Each try that paid is followed by one that is so many times as large, up to doubling. */
const BOLDER = 1.25;
/** Up to the next whole request only where a good part of it is needed. */
const ROUNDING = 0.1;
/** Below the knee for one round, after each try. */
const DRAIN = 0.75;

type Phase = 'unknown' | 'cruise' | 'more' | 'drain';

export class ConcurrencyWindow {
  #window = START_WINDOW;
  /** What requests as large as those it was made for bring together. */
  #windowBytes = START_WINDOW * GUESSED_BYTES;
  #phase: Phase = 'unknown';
  /** False in the first round of a phase: what comes then was sent in the former one. */
  #measuring = true;
  #received = 0;
  readonly #path = new PathModel();
  readonly #trim = new SpareTrim();
  #meanBytes = 0;
  /** What the present phase must beat, in requests: small blocks after a large one bring fewer bytes, and are no slower. */
  #basePace = 0;
  #growth = FIRST_TRY;
  #cruised = 0;
  #failedInRound = false;
  #sharedRounds = 0;
  #round = new AnswerRound();

  /** Requests that fill the path, as large as they lately were. */
  get size(): number {
    return this.#window;
  }

  /** What these bring together, a small one for as much as it takes of the path. */
  get bytes(): number {
    return Math.max(this.#windowBytes, this.#window * LEAST_REQUEST_BYTES);
  }

  /** The same for the background: half, until the path is known, and a little less beside readers. */
  get spareBytes(): number {
    return this.bytes * (this.#spareSize / this.#window);
  }

  /** What a request brings that the window was made for. */
  get usualBytes(): number {
    return Math.max(LEAST_REQUEST_BYTES, this.#windowBytes / this.#window);
  }

  /** What `bytes` take on the path at its rate, as far as that is known. */
  timeMsOf(bytes: number): number {
    return this.#path.rate > 0 ? this.#path.timeMsOf(bytes) : 0;
  }

  /** False until it was told where more requests bring no more. */
  get isKnown(): boolean {
    return this.#phase !== 'unknown';
  }

  /** All that was answered so far, to be noted when a request is sent. */
  get receivedBytes(): number {
    return this.#received;
  }

  answered(sample: WindowSample): void {
    const { delayMs, inFlight, forReader } = sample;
    // An empty block is an answer too; a round of nothing but these would have no rate to reckon with.
    const bytes = Math.max(1, sample.bytes);
    this.#received += bytes;
    this.#path.sawDelay(delayMs, bytes);
    const round = this.#round;
    round.add(sample, bytes, this.#received, delayMs - this.#path.timeMsOf(bytes));
    this.#meanBytes = round.meanBytes;
    if (forReader) this.#sharedRounds = READER_ROUNDS;
    const isWindowful = round.answers >= this.#window || round.bytes >= this.#windowBytes;
    if (isWindowful && round.answers >= MIN_ROUND_ANSWERS) this.#endRound(inFlight);
  }

  /** The first block of several that come by one request took so long. */
  sawDelay(delayMs: number, bytes: number): void {
    this.#path.sawDelay(delayMs, bytes);
  }

  /**
   * The path was found to be full at so many bytes a millisecond. Once it is known its own rounds say more: what comes at once
   * after a busy processor is not in them, and a rate that is too high would keep a queue on the way.
   */
  found(bytesPerMs: number): void {
    if (this.isKnown) return;
    if (this.#path.rate === 0) this.#path.sawRate(bytesPerMs);
    this.#enter('drain', this.#knee * DRAIN);
  }

  /** A request failed: fewer at once, but once only for all that fail together, and climbing again from there. */
  failed(): void {
    if (this.#failedInRound) return;
    this.#path.worsen(0.7);
    const mostBytes = this.#windowBytes;
    this.#enter('cruise', Math.floor(this.#window * 0.7));
    this.#windowBytes = Math.min(this.#windowBytes, mostBytes * 0.7);
    this.#cruised = CRUISE_ROUNDS;
    this.#failedInRound = true;
  }

  get #spareSize(): number {
    if (this.#phase === 'cruise' && this.#sharedRounds > 0) return Math.max(MIN_WINDOW, this.#trim.from(this.#window));
    return this.#window;
  }

  get #knee(): number {
    return this.#path.holds(this.#meanBytes || GUESSED_BYTES);
  }

  #endRound(inFlight: number): void {
    const { bytesPerMs: rate, saturation, usualWayMs } = this.#round;
    // Not held back by the window, or driven past it by readers: what came says nothing about the window.
    const valid = saturation >= 0.8 && inFlight <= 1.5 * this.#window + 2;
    const shared = this.#sharedRounds > 0;
    if (shared) this.#sharedRounds--;
    const pace = rate / this.#meanBytes;
    const measured = this.#measuring;
    const best = this.#path.rate;
    if (valid && shared && this.#phase === 'cruise') {
      const blockMs = this.#path.timeMsOf(this.#meanBytes);
      this.#trim.judge(usualWayMs - this.#path.wayMs, blockMs, rate / best, this.#window);
    }
    this.#path.sawRate(rate);
    this.#startRound();
    if (!this.isKnown) return;
    if (!valid) {
      // Readers who drove past the window found that the path holds more.
      if (this.#phase === 'cruise' && this.#knee > this.#window) this.#resize(this.#knee);
      return;
    }
    this.#measuring = true;
    if (!measured) return;
    switch (this.#phase) {
      case 'more':
        if (pace >= (1 + (this.#growth - 1) * TRY_PAYS) * this.#basePace) {
          this.#growth = Math.min(2, this.#growth * BOLDER);
          this.#tryMore(pace);
        } else this.#enter('drain', this.#knee * DRAIN);
        break;
      case 'drain':
        this.#enter('cruise', this.#knee);
        break;
      case 'cruise':
        this.#cruised += shared ? SHARED_ROUND : 1;
        if (this.#cruised < CRUISE_ROUNDS) this.#resize(this.#knee);
        else {
          // What was seen two tries ago no longer counts.
          this.#path.age();
          this.#growth = FIRST_TRY;
          const basePace = Math.min(best, this.#path.rate) / this.#meanBytes;
          this.#tryMore(basePace);
        }
        break;
    }
  }

  /** By a share of the knee, or one request more than now: of bytes as much more, however large blocks are by now. */
  #tryMore(basePace: number): void {
    const share = this.#knee * this.#growth;
    const mostBytes = Math.max(Math.ceil(share) * this.#meanBytes, this.#windowBytes + this.#meanBytes);
    this.#enter('more', Math.max(this.#window + 1, share), basePace);
    this.#windowBytes = Math.min(this.#windowBytes, mostBytes);
  }

  #enter(phase: Phase, window: number, basePace = 0): void {
    const before = this.#window;
    this.#resize(window);
    // Nowhere further to go.
    this.#phase = phase === 'more' && this.#window === before ? 'drain' : phase;
    this.#basePace = basePace;
    this.#cruised = 0;
    this.#measuring = false;
    this.#startRound();
  }

  #resize(window: number): void {
    this.#window = Math.max(MIN_WINDOW, Math.min(Math.ceil(window - ROUNDING), MAX_WINDOW));
    this.#windowBytes = this.#window * (this.#meanBytes || GUESSED_BYTES);
  }

  #startRound(): void {
    this.#round = new AnswerRound();
    this.#failedInRound = false;
  }
}
