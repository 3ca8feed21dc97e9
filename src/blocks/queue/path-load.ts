/**
 * What is under way on the path to one source, by number and by bytes, and whether more may start.
 *
 * What always holds:
 * - Readers are never held back by the rest: what nobody waits for yet starts only while all that is in flight leaves the path
 *   unfilled (`ConcurrencyWindow`), a reader's want starts at once. As readers come, the background's requests are simply not
 *   replaced; none is thrown away.
 * - A request that is slower than usual, and of which nothing comes, stops counting as filling the path: ten absent blocks that
 *   a Kubo node searches for must not stop the other volumes' readahead. One that comes slowly fills it.
 */
import type { Clock } from '../clock.ts';
import { PRIORITY_RANK, type Priority } from '../priority.ts';
import { ConcurrencyWindow } from './concurrency-window.ts';
import { FIRST_BYTES, FirstBytes } from './first-bytes.ts';
import { SizeClaims } from './size-claims.ts';
import { UsualDelay } from './usual-delay.ts';

/** A request of any form, as the path counts it. */
export interface Flight {
  readonly startedAtMs: number;
  readonly slow: boolean;
  /** Something of it came. */
  moved(): void;
  /** To be called once. */
  end(bytes: number | undefined): void;
}

/** Who is told of a flight: `slow` at most once, where it is to be; `ended` at its end. */
export interface FlightEvents {
  slow?(): void;
  ended(): void;
}

/**
 * Requests in flight at most, by rank, slow ones included: sockets to one source. What is less urgent leaves room for the
 * rest, so that a volume full of absent blocks does not take the others' turns.
 */
const MAX_IN_FLIGHT_BY_RANK = [2048, 512, 512, 256, 256] as const;
/** Readers' requests that answer in their usual time, at most: the concurrent readers we promise, twice. */
const MAX_READING = 512;
/** For the estimate of what a request will bring, before the first came: UnixFS's old chunk size. */
const GUESSED_BLOCK_BYTES = 256 * 1024;
/** Answers that the estimate rests on. */
const MEAN_OF_ANSWERS = 16;
/**
 * Until a path is known, so many requests may be under way up to FIRST_BYTES, whatever the window of requests: a start wants
 * a thousand blocks of 3 KB, and the window would take ten round trips to grow to that.
 */
const MAX_FIRST_REQUESTS = 256;
/**
 * Of a path that is known, too, so much counts as idle: 80 ms of 25 Mbit/s. The window counts requests, and finds a few of
 * them enough where each brings 3 KB and the processor is what held it back; a range of a megabyte would wait for them. Of a
 * source whose processor is slow (a Kubo node's, 0.3 ms for each) as many are some 20 ms.
 */
const IDLE_BYTES = 256 * 1024;
const MAX_IDLE_REQUESTS = 64;
/**
 * What the background has on its way at most where the path would hold less, however slow it is: a source that was silent for
 * a minute and comes back sends all of it at once, before whoever reads then. 1.3 s of 100 Mbit/s.
 */
const MAX_SPARE_BYTES = 16 * 1024 * 1024;

export class PathLoad {
  readonly #clock: Clock;
  readonly #window = new ConcurrencyWindow();
  readonly #delay = new UsualDelay();
  readonly #firstBytes = new FirstBytes();
  readonly #claims = new SizeClaims();
  #inFlight = 0;
  /** Of these, what is slow and of which nothing comes. */
  #stuck = 0;
  /** Of all that is in flight. */
  #expectedBytes = 0;
  /** Of what fills the path, where no size is known that of the usual answer. */
  #fillingBytes = 0;
  #blocks = 0;
  #meanBlockBytes = GUESSED_BLOCK_BYTES;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Requests at once that fill the path, as learned. */
  get limit(): number {
    return this.#window.size;
  }

  /** What a request is expected to bring. */
  get meanBlockBytes(): number {
    return this.#meanBlockBytes;
  }

  /** What is to be gone by of what somebody claims of a block. */
  claimed(claimedBytes: number | undefined): number | undefined {
    return this.#claims.of(claimedBytes);
  }

  /** Whether a request of `rank` may start now. What may not at one rank may not at a later one, as far as anybody looks. */
  admits(rank: number, claimedBytes: number | undefined): boolean {
    const expectedBytes = this.#claims.of(claimedBytes);
    if (this.#inFlight >= (MAX_IN_FLIGHT_BY_RANK[rank] ?? 0)) return false;
    if (rank === 0) return this.#filling < MAX_READING;
    if (rank >= PRIORITY_RANK.background) return !this.#isFilled(expectedBytes) && !this.#isTooMuch;
    if (this.#filling < this.#window.size) return rank < PRIORITY_RANK.profile || this.#hasRoom(expectedBytes);
    if (this.#window.isKnown) return this.#filling < MAX_IDLE_REQUESTS && this.#expectedBytes < IDLE_BYTES;
    const firstBytes = rank === PRIORITY_RANK.profile ? this.#firstBytes.limit : FIRST_BYTES;
    const bytes = this.#expectedBytes + (expectedBytes ?? this.#meanBlockBytes);
    return this.#filling < MAX_FIRST_REQUESTS && bytes <= firstBytes;
  }

  /**
   * Counts a request of any form as in flight until `end`, which takes the bytes of an answer that says something about
   * the path (`undefined` for others). Without `slow` it never counts as slow: a range takes as long as it is large.
   */
  begin(priority: Priority, expectedBytes: number | undefined, events: FlightEvents): Flight {
    const startedAtMs = this.#clock.nowMs();
    const receivedBefore = this.#window.receivedBytes;
    let slow = false;
    let moves = false;
    let stuck = false;
    const estimate = expectedBytes ?? this.#meanBlockBytes;
    const fillingBytes = expectedBytes ?? this.#window.usualBytes;
    this.#inFlight++;
    this.#expectedBytes += estimate;
    this.#fillingBytes += fillingBytes;
    const setStuck = (isStuck: boolean) => {
      if (isStuck === stuck) return;
      stuck = isStuck;
      this.#stuck += isStuck ? 1 : -1;
      this.#fillingBytes += isStuck ? -fillingBytes : fillingBytes;
    };
    const stopTimer =
      events.slow &&
      this.#clock.schedule(this.#delay.slowAfterMs(this.#window.timeMsOf(this.#fillingBytes)), () => {
        slow = true;
        setStuck(!moves);
        events.slow?.();
      });
    return {
      startedAtMs,
      get slow() {
        return slow;
      },
      moved: () => {
        moves = true;
        setStuck(false);
      },
      end: (bytes) => {
        stopTimer?.();
        const saturated = this.#isFilled();
        if (bytes !== undefined) {
          const nowMs = this.#clock.nowMs();
          const delayMs = nowMs - startedAtMs;
          this.#delay.add(delayMs);
          this.#firstBytes.answered(nowMs, bytes, delayMs);
          const forReader = priority === 'demand';
          const inFlight = this.#inFlight;
          this.#window.answered({ nowMs, bytes, delayMs, receivedBefore, inFlight, saturated, forReader });
        }
        this.#inFlight--;
        this.#expectedBytes -= estimate;
        setStuck(false);
        this.#fillingBytes -= fillingBytes;
        events.ended();
      },
    };
  }

  /** A block came that was said to measure `claimedBytes`. */
  heard(claimedBytes: number | undefined, bytes: number): void {
    this.#claims.heard(claimedBytes, bytes);
  }

  /** A block was verified. */
  received(bytes: number): void {
    this.#blocks++;
    // The guess counts as one of them, so that the first answers outweigh it.
    this.#meanBlockBytes += (bytes - this.#meanBlockBytes) / Math.min(MEAN_OF_ANSWERS, this.#blocks + 1);
  }

  /** A request failed. */
  failed(): void {
    this.#window.failed();
  }

  get #filling(): number {
    return this.#inFlight - this.#stuck;
  }

  /**
   * As many requests as fill the path with small blocks are a flood of large ones. Of a path that is known, too, what it holds
   * twice may be under way: a start is worth that, and no more of it comes by more.
   */
  #hasRoom(expectedBytes = this.#window.usualBytes): boolean {
    if (!this.#window.isKnown || this.#filling === 0) return true;
    return this.#fillingBytes + expectedBytes / 2 <= Math.max(this.#window.bytes, this.#firstBytes.limit);
  }

  /** Slow ones do not fill the path, and all of them may come at once. */
  get #isTooMuch(): boolean {
    const { spareBytes } = this.#window;
    const pathBytes = Number.isFinite(spareBytes) ? 2 * spareBytes : 0;
    return this.#inFlight > 0 && this.#expectedBytes >= Math.max(MAX_SPARE_BYTES, pathBytes);
  }

  /** Whether the background has all of the path that is its own: half of one request more would find no room. */
  #isFilled(expectedBytes = this.#window.usualBytes): boolean {
    if (this.#filling === 0) return false;
    const { spareSize, spareBytes, isKnown } = this.#window;
    // Eight blocks of 1 MiB are a minute of a slow link, and whoever reads gets a ninth of it.
    if (!isKnown && this.#fillingBytes + expectedBytes / 2 > this.#firstBytes.limit) return true;
    return this.#filling >= spareSize || this.#fillingBytes + expectedBytes / 2 > spareBytes;
  }
}
