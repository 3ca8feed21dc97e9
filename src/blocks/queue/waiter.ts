/**
 * One caller of a want, who is answered once: with the block or an error, or because its time is up or it left. Whoever answers
 * it calls `release`: then neither a timer nor a listener is left.
 */
import type { CodedError } from '../../base/errors.ts';
import type { Clock } from '../clock.ts';

/** A verified block and the name of the source that sent it. */
export interface FetchedBlock {
  readonly bytes: Uint8Array;
  readonly origin: string;
}

export interface Settle {
  readonly resolve: (block: FetchedBlock) => void;
  readonly reject: (error: CodedError) => void;
}

export class Waiter implements Settle {
  readonly rank: number;
  /** It is a reader's. */
  readonly awaited: boolean;
  readonly sinceMs: number;
  readonly resolve: Settle['resolve'];
  readonly reject: Settle['reject'];
  readonly #clock: Clock;
  #stopTimer: () => void = () => {};
  #signal: AbortSignal | undefined;
  #onAbort: () => void = () => {};

  constructor(rank: number, awaited: boolean, clock: Clock, { resolve, reject }: Settle) {
    this.rank = rank;
    this.awaited = awaited;
    this.sinceMs = clock.nowMs();
    this.resolve = resolve;
    this.reject = reject;
    this.#clock = clock;
  }

  /** `late` is called after `timeoutMs`, and again after as long where it gives true. */
  limit(timeoutMs: number, late: () => boolean): void {
    this.#stopTimer = this.#clock.schedule(timeoutMs, () => {
      if (late()) this.limit(timeoutMs, late);
    });
  }

  /** `left` is called when `signal` aborts. */
  listen(signal: AbortSignal, left: () => void): void {
    this.#signal = signal;
    this.#onAbort = left;
    signal.addEventListener('abort', left, { once: true });
  }

  release(): void {
    this.#stopTimer();
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}
