/**
 * What a fill has on its way, and whether more may set out: a bounded number of blocks, and of bytes no more than the disk takes
 * and all fills together may have. The want queue decides when each goes out.
 */
import type { Clock } from '../blocks/clock.ts';
import type { SharedBound } from '../fs/shared-bound.ts';

/** Wants outstanding: what one source takes at this priority; more would only wait in another place. */
const MAX_OUTSTANDING = 256;
/**
 * Bytes on their way here and from here to the disk. A disk that is slower than the link sets the pace then: what comes
 * beyond the cache's 24 MiB of waiting blocks would not be kept, and be fetched again.
 */
const MAX_UNWRITTEN_BYTES = 20 * 1024 * 1024;
/** Of all fills together, on their way here: one alone has its 20 MiB of it. */
export const MAX_UNDER_WAY_BYTES = 32 * 1024 * 1024;
/** The disk is looked at again after this. */
const WRITE_PAUSE_MS = 20;

export interface UnderWayParts {
  /** Bytes that wait to be written. */
  readonly cache: { readonly waitingBytes: number };
  readonly clock: Clock;
  /** Bytes on their way here, of all fills that run beside each other; one that runs alone has its own bound. */
  readonly underWay?: SharedBound<object>;
}

export class FillUnderWay {
  readonly #parts: UnderWayParts;
  #count = 0;
  #bytes = 0;
  #wake: () => void = () => {};

  constructor(parts: UnderWayParts) {
    this.#parts = parts;
  }

  get isIdle(): boolean {
    return this.#count === 0;
  }

  get isFull(): boolean {
    return this.#count >= MAX_OUTSTANDING;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `work`, which never rejects, is under way until it ends. */
  add(work: Promise<void>, spaceBytes: number): void {
    this.#count++;
    this.#bytes += spaceBytes;
    this.#parts.underWay?.take(this, spaceBytes);
    void work.finally(() => {
      this.#count--;
      this.#bytes -= spaceBytes;
      this.#parts.underWay?.give(this, spaceBytes);
      this.#wake();
    });
  }

  /** Ends the wait that is under way: something else is to be looked at. */
  readonly wake = (): void => this.#wake();

  /** Resolves when some of it has ended, or with `wake`. */
  oneEnded(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async oneEndedWithin(limitMs: number): Promise<void> {
    let forget = () => {};
    const timer = new Promise<void>((resolve) => {
      forget = this.#parts.clock.schedule(limitMs, resolve);
    });
    await Promise.race([timer, this.oneEnded()]);
    forget();
  }

  /** Resolves once that much more may set out, or `signal` is aborted. */
  async untilRoom(spaceBytes: number, signal: AbortSignal): Promise<void> {
    while (this.#isHeldUp(spaceBytes) && !signal.aborted) await this.oneEndedWithin(WRITE_PAUSE_MS);
  }

  #isHeldUp(spaceBytes: number): boolean {
    const { cache, underWay } = this.#parts;
    if (underWay?.hasRoom(this) === false) return true;
    const unwrittenBytes = this.#bytes + cache.waitingBytes;
    return unwrittenBytes > 0 && unwrittenBytes + spaceBytes > MAX_UNWRITTEN_BYTES;
  }
}
