/**
 * By how many requests the background stays below the window beside readers.
 *
 * What fills the path is seldom a whole number of requests. Rounded up, the rest stands in a queue on the way all the
 * time, and so does whatever noise made the window too large: a block of 1 MiB is 8 ms of 1 Gbit/s for each read behind it. Nobody
 * feels that but a reader, so it is only beside readers that the link is left a few per cent idle.
 *
 * Told by the usual answer of a round, its median: a queue that stands makes most of them slow, a busy processor or a reader's block
 * on the way only some.
 */

/** A standing queue of so much of a block is too much; one request less takes a whole one away. */
const TOO_MUCH_BLOCKS = 0.65;
/** Timers and turns of the event loop are late by as much. */
const NOISE_MS = 1.5;
/** In so many rounds one after the other: a processor that others keep busy makes all answers of one round late. */
const SURE_ROUNDS = 3;
/** Of the best rate, from which on the link is full: below it what stands there now and then is chance, as of blocks of all sizes. */
const FULL_SHARE = 0.93;
/** Of the best rate, below which the link may have room for one request more, where nothing stands on the way. */
const IDLE_SHARE = 0.9;
/** Rounds until that is tried, twice as many each time that it was one too many: readers feel it for two or three. */
const PATIENCE_ROUNDS = 32;
const MAX_PATIENCE_ROUNDS = 512;
/** Of the window, whatever delays seem to say: paths grow longer, too. */
const MAX_SHARE = 0.3;

export class SpareTrim {
  #requests = 0;
  /** What comes in the round after a change was sent before it. */
  #settling = false;
  /** The standing queues of the rounds that had too much of one, in a row. */
  #standingMs: number[] = [];
  #patience = PATIENCE_ROUNDS;
  #rounds = 0;
  #tried = false;

  /** What is left of a window of `window` requests. */
  from(window: number): number {
    return window - Math.min(this.#requests, mostOf(window));
  }

  /**
   * A round beside readers ended. `standingMs`: by how much its usual answer was slower than on an empty path; `blockMs`: a
   * block's time on the link; `share`: of the best rate.
   */
  judge(standingMs: number, blockMs: number, share: number, window: number): void {
    this.#rounds++;
    if (this.#settling) {
      this.#settling = false;
    } else if (share >= FULL_SHARE && standingMs > Math.max(TOO_MUCH_BLOCKS * blockMs, NOISE_MS)) {
      this.#standingMs.push(standingMs);
      if (this.#standingMs.length >= SURE_ROUNDS) this.#fewer(Math.min(...this.#standingMs) / blockMs, window);
    } else {
      this.#standingMs = [];
      if (share < IDLE_SHARE && this.#requests > 0 && this.#rounds > this.#patience) this.#tryMore();
    }
  }

  #fewer(standingBlocks: number, window: number): void {
    this.#patience = this.#tried ? Math.min(2 * this.#patience, MAX_PATIENCE_ROUNDS) : PATIENCE_ROUNDS;
    this.#tried = false;
    this.#change(Math.min(mostOf(window), this.#requests + Math.max(1, Math.floor(standingBlocks))));
  }

  #tryMore(): void {
    this.#tried = true;
    this.#change(this.#requests - 1);
  }

  #change(requests: number): void {
    this.#settling = true;
    this.#standingMs = [];
    this.#rounds = 0;
    this.#requests = requests;
  }
}

function mostOf(window: number): number {
  return Math.floor(window * MAX_SHARE);
}
