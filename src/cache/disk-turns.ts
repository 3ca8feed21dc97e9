/**
 * Turns at a disk: work that touches it in the thread that answers readers, one after the other, each only once the disk has
 * answered another thread. And a stop-watch for such work: a disk that is merely slow answers, too late for everybody.
 */
/** From here on it is said that the disk does not answer. */
const SILENT_MS = 5000;
/** What is done in one turn takes some ten milliseconds, and a busy machine's own pauses less than this. */
const TOO_LONG_MS = 2000;

export interface DiskTurnsOptions {
  /** Resolves once the disk has answered another thread, which may be never. */
  readonly answers: () => Promise<void>;
  /** The disk does not answer, or does not end what a turn began. The turn goes on when it does. */
  readonly onSilent: () => void;
  /** A turn's work failed. */
  readonly onFailure: (error: unknown) => void;
}

export class DiskTurns {
  readonly #options: DiskTurnsOptions;
  #last: Promise<void> = Promise.resolve();
  #silent = false;

  constructor(options: DiskTurnsOptions) {
    this.#options = options;
  }

  /** True while the disk does not answer: nothing of it may be touched. */
  get silent(): boolean {
    return this.#silent;
  }

  /** Never rejects. */
  take(work: () => void | Promise<void>): Promise<void> {
    this.#last = this.#last.then(async () => {
      const timer = setTimeout(() => this.fallSilent(), SILENT_MS);
      try {
        await this.#options.answers();
        await work();
      } catch (error) {
        this.#options.onFailure(error);
      } finally {
        clearTimeout(timer);
        this.#silent = false;
      }
    });
    return this.#last;
  }

  /** Whoever has waited long enough for the turn under way says so. */
  fallSilent(): void {
    if (this.#silent) return;
    this.#silent = true;
    this.#options.onSilent();
  }
}

/** What `work` gives, in this thread; `tooLong` is called with an error where it took so long that it must not be tried again soon. */
export function timed<T>(work: () => T, tooLong: (error: Error) => void): T {
  const begun = performance.now();
  const result = work();
  const tookMs = performance.now() - begun;
  if (tookMs > TOO_LONG_MS)
    tooLong(new Error(`the disk took ${Math.round(tookMs / 100) / 10} s over what takes milliseconds`));
  return result;
}
