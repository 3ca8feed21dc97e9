/**
 * Whether a disk still answers those who read it, asked from another thread.
 *
 * The table of blocks is read in the thread that answers everybody, since that takes microseconds: a page that is in memory
 * says nothing about the disk, and one that is not, on a disk that hangs, would hold up every volume until the daemon is
 * killed for it. So whoever is about to ask the table has the pulse felt first (`diskGives`), which takes a disk a fraction
 * of a millisecond and one that hangs for ever; no more than twenty times a second, and only while somebody asks.
 *
 * What is left is a disk that falls silent between two beats while a page is read that is not in memory: a tenth of a
 * second while it is in use and quick, half a second where it is busy, or where nobody asked for a while and the first to come
 * asks only whether a block is here. The supervisor's patience is the bound then. docs/decisions/disk-cache.md has what
 * else was weighed.
 */
import { diskGives } from '../../base/disk-answers.ts';
import type { MaybePromise } from '../../base/maybe-promise.ts';

/** As for files of blocks: one that answered this lately is asked without further ado. */
const FRESH_MS = 100;
/** Of a busy one as much longer as it takes to answer, so many times: what memory has of it is not to wait for each beat. */
const FRESH_BEATS = 4;
/** A disk under load keeps a read waiting for some hundred ms; from here on whoever cannot wait is told that nothing is here. */
const LATE_MS = 500;

interface Question<T> {
  readonly ask: (isThisTurn: boolean) => MaybePromise<T | undefined>;
  readonly onSilence: (error: Error) => void;
}

export class DiskPulse {
  readonly #gives: () => Promise<unknown>;
  readonly #now: () => number;
  #beating: Promise<void> | undefined;
  #sinceMs = 0;
  #answeredMs = Number.NEGATIVE_INFINITY;
  /** What a beat takes, smoothed. */
  #usualMs = 0;

  /** Of the disk that holds `directory`, in which a file is made for it. */
  constructor(directory: string, { gives = () => diskGives(directory), now = () => performance.now() } = {}) {
    this.#gives = gives;
    this.#now = now;
  }

  /** It answered just now. Feels it before that is no longer so: who asks all the time never waits for it. */
  get isFresh(): boolean {
    const ageMs = this.#now() - this.#answeredMs;
    const freshMs = Math.min(LATE_MS, Math.max(FRESH_MS, FRESH_BEATS * this.#usualMs));
    if (ageMs > freshMs / 2) void this.#beat();
    return ageMs < freshMs;
  }

  /** It has not answered for so long that it must not be touched. Feels it, where that was some time ago. */
  get isLate(): boolean {
    if (!this.isFresh) void this.#beat();
    return this.#beating !== undefined && this.#now() - this.#sinceMs > LATE_MS;
  }

  /** True once it has answered, whatever it said; false where it has been silent for `limitMs`, at once where that is so. */
  async answers(limitMs: number): Promise<boolean> {
    const answered = this.#beat().then(() => true);
    const leftMs = this.#sinceMs + limitMs - this.#now();
    if (leftMs <= 0) return false;
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(resolve, leftMs, false);
    try {
      return await Promise.race([answered, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * What `ask` gives, in this turn where the disk has just answered; else once it has, and undefined, after a word to
   * `onSilence`, where it has not within `limitMs`.
   */
  whenFelt<T>(limitMs: number, question: Question<T>): MaybePromise<T | undefined> {
    if (this.isFresh) return question.ask(true);
    return this.answers(limitMs).then((answered) => {
      if (answered) return question.ask(false);
      question.onSilence(
        new Error(`the disk has not answered for ${Math.round((this.#now() - this.#sinceMs) / 100) / 10} s`),
      );
      return undefined;
    });
  }

  /** One at a time, so that one that hangs takes one thread. */
  #beat(): Promise<void> {
    if (this.#beating) return this.#beating;
    this.#sinceMs = this.#now();
    const ended = () => {
      this.#answeredMs = this.#now();
      this.#usualMs += (this.#answeredMs - this.#sinceMs - this.#usualMs) / 4;
      this.#beating = undefined;
    };
    this.#beating = this.#gives().then(ended, ended);
    return this.#beating;
  }
}
