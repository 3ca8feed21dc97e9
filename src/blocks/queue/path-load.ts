/**
 * What is under way on the path to one source, and whether more may start.
 *
 * What always holds:
 * - Readers are never held back by the rest: a reader's want starts at once, and what nobody waits for yet starts only while all
 *   that is under way, readers' wants included, leaves the path unfilled. As readers come, the rest is simply not replaced; none
 *   is thrown away.
 * - That is one rule, in bytes, a small request for a few kilobytes: what is under way is no more than what the path holds
 *   (`PathWindow`) and a small queue, for a boot profile twice that, and for the background just so much.
 * - A request that is slower than usual, and of which nothing comes, stops counting as filling the path: ten absent blocks that
 *   a Kubo node searches for must not stop the other volumes' readahead. One that comes slowly fills it.
 */
import type { Clock } from '../clock.ts';
import { PRIORITY_RANK, type Priority } from '../priority.ts';
import { LEAST_REQUEST_BYTES, PathWindow } from './path-window.ts';
import { SizeClaims } from './size-claims.ts';
import { UsualDelay } from './usual-delay.ts';

/** A request of any form, as the path counts it. */
export interface Flight {
  readonly startedAtMs: number;
  readonly slow: boolean;
  /** Something of it came. */
  moved(): void;
  /** A block of several that it brings came. */
  came(bytes: number): void;
  /** To be called once. */
  end(bytes: number | undefined): void;
}

/** Who is told of a flight: `slow` at most once, where it is to be; `ended` at its end. */
export interface FlightEvents {
  slow?(): void;
  ended(): void;
}

/** Readers' requests at most: sockets to one source; and of those that answer in their usual time the concurrent readers we promise, twice. */
const MOST_READING = { all: 2048, filling: 512 } as const;
/**
 * Of all others at most, slow ones included, by rank: what is less urgent leaves room for the rest, so that a volume full of absent
 * blocks does not take the others' turns. And the bytes that a source which was silent for a minute may send at once, before whoever
 * reads then, when it is back: 16 MiB are 1.3 s of 100 Mbit/s.
 */
const MOST_AHEAD = [
  { requests: 512, bytes: Number.POSITIVE_INFINITY },
  { requests: 512, bytes: Number.POSITIVE_INFINITY },
  { requests: 256, bytes: Number.POSITIVE_INFINITY },
  { requests: 256, bytes: 16 * 1024 * 1024 },
] as const;
/** For the estimate of what a request will bring, before the first came: UnixFS's old chunk size. */
const GUESSED_BLOCK_BYTES = 256 * 1024;
/** Answers that the estimate rests on. */
const MEAN_OF_ANSWERS = 16;
/** Of what the path holds, what may be under way of look-ahead: so much more than it that a late answer does not leave it idle. */
const SMALL_QUEUE = 1.25;
/** And of a boot profile: no more of a start comes by more than that. */
const START_QUEUE = 2;

export class PathLoad {
  readonly #clock: Clock;
  readonly #doesAnyWait: () => boolean;
  readonly #window = new PathWindow();
  readonly #delay = new UsualDelay();
  readonly #claims = new SizeClaims();
  #inFlight = 0;
  /** Of these, what is slow and of which nothing comes. */
  #stuck = 0;
  /** Of all that is in flight, as the path counts it: where no size is known that of the usual answer. */
  #expectedBytes = 0;
  /** Of what fills the path. */
  #fillingBytes = 0;
  /** What was looked at last was to wait for room, and does unless nobody wants it any more. */
  #heldBack = false;
  #blocks = 0;
  #meanBlockBytes = GUESSED_BLOCK_BYTES;

  /** `doesAnyWait`: whether any request waits to be admitted. */
  constructor(clock: Clock, doesAnyWait: () => boolean) {
    this.#clock = clock;
    this.#doesAnyWait = doesAnyWait;
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
    if (rank === PRIORITY_RANK.demand) return this.#inFlight < MOST_READING.all && this.#filling < MOST_READING.filling;
    const most = MOST_AHEAD[rank - 1];
    if (most === undefined) return false;
    const room = this.#roomFor(rank, this.#claims.of(claimedBytes) ?? this.#meanBlockBytes);
    this.#heldBack = this.#filling > 0 && this.#fillingBytes > room;
    // Slow ones do not fill the path, and all of them may come at once.
    const isTooMuch =
      this.#inFlight >= most.requests || (this.#inFlight > 0 && this.#expectedBytes >= Math.max(most.bytes, 2 * room));
    return !this.#heldBack && !isTooMuch;
  }

  /**
   * Counts a request of any form as in flight until `end`, which takes the bytes of an answer that says something about
   * the path (`undefined` for others). Without `slow` nobody is told where it is slower than usual: a range takes as long as it is
   * large.
   */
  begin(priority: Priority, expectedBytes: number | undefined, events: FlightEvents): Flight {
    const startedAtMs = this.#clock.nowMs();
    const receivedBefore = this.#window.receivedBytes;
    let movedAtMs = startedAtMs;
    let slow = false;
    let stuck = false;
    let blocks = 0;
    /** What is still to come. */
    let leftBytes = asLoad(expectedBytes ?? this.#meanBlockBytes);
    this.#inFlight++;
    this.#expectedBytes += leftBytes;
    this.#fillingBytes += leftBytes;
    const setStuck = (isStuck: boolean) => {
      if (isStuck === stuck) return;
      stuck = isStuck;
      this.#stuck += isStuck ? 1 : -1;
      this.#fillingBytes += isStuck ? -leftBytes : leftBytes;
    };
    const slowAfterMs = this.#delay.slowAfterMs(this.#window.timeMsOf(this.#fillingBytes));
    let stopTimer: () => void = () => {};
    const watch = () => {
      stopTimer = this.#clock.schedule(movedAtMs + slowAfterMs - this.#clock.nowMs(), () => {
        const isSilent = this.#clock.nowMs() >= movedAtMs + slowAfterMs;
        setStuck(isSilent);
        if (!isSilent) watch();
        if (slow) return;
        slow = true;
        events.slow?.();
      });
    };
    watch();
    const moved = () => {
      movedAtMs = this.#clock.nowMs();
      if (!stuck) return;
      setStuck(false);
      watch();
    };
    const answered = (bytes: number) => {
      const nowMs = this.#clock.nowMs();
      this.#window.answered({
        nowMs,
        bytes,
        // Many small ones may come by one request.
        load: blocks === 0 ? asLoad(bytes) : bytes,
        delayMs: nowMs - startedAtMs,
        isFirst: blocks++ === 0,
        receivedBefore,
        loadBytes: this.#fillingBytes,
        isFull: this.#isFull,
        forReader: priority === 'demand',
      });
    };
    return {
      startedAtMs,
      get slow() {
        return slow;
      },
      moved,
      came: (bytes) => {
        moved();
        answered(bytes);
        const gone = Math.min(bytes, leftBytes);
        leftBytes -= gone;
        this.#expectedBytes -= gone;
        this.#fillingBytes -= gone;
      },
      end: (bytes) => {
        stopTimer();
        if (bytes !== undefined) {
          this.#delay.add(this.#clock.nowMs() - startedAtMs);
          answered(bytes);
        }
        setStuck(false);
        this.#inFlight--;
        this.#expectedBytes -= leftBytes;
        this.#fillingBytes -= leftBytes;
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

  /** As much is under way as may be: something waits for room, or the background would. */
  get #isFull(): boolean {
    return (
      (this.#heldBack && this.#doesAnyWait()) ||
      this.#fillingBytes > this.#roomFor(PRIORITY_RANK.background, this.#meanBlockBytes)
    );
  }

  get #filling(): number {
    return this.#inFlight - this.#stuck;
  }

  /** What may be under way already when a request of `rank` for `bytes` starts. */
  #roomFor(rank: number, bytes: number): number {
    if (rank >= PRIORITY_RANK.background) return this.#window.roomFor(asLoad(bytes), 1, true);
    return this.#window.roomFor(asLoad(bytes), rank >= PRIORITY_RANK.profile ? START_QUEUE : SMALL_QUEUE, false);
  }
}

/** What a request for so many bytes takes of the path. */
function asLoad(bytes: number): number {
  return Math.max(bytes, LEAST_REQUEST_BYTES);
}
