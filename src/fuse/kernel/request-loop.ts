/**
 * The turns in which requests are taken out of the ring and handled, one after the other, on the thread that answers.
 *
 * Whoever walks a tree asks again at once, sooner than a thread can be woken up: for him a turn that had requests watches
 * for the next one a moment longer. Beside a stream that waits for its network, or on a machine that does more than this,
 * nearly all such moments are in vain, and the processor's: the more of them were, the fewer are spent.
 */
import type { RingReader } from './request-ring.ts';

/**
 * Requests handled in one turn before timers, sockets and other threads' work have theirs: of 128 KiB in sequence about half a
 * millisecond, in which the disk has read on. A turn that ends costs some microseconds.
 */
const REQUESTS_PER_TURN = 8;
/** How long a turn watches for the next request: a wake-up through the event loop takes as long. */
const LINGER_MS = 0.05;
/** Times passed over after so many in vain, one after the other; and behind these. */
const PASSED_OVER = [0, 0, 1, 3, 7] as const;
const MOST_PASSED_OVER = 15;

type Requests = Pick<RingReader, 'peek' | 'release' | 'linger' | 'whenMore'>;

export class RequestLoop {
  readonly #ring: Requests;
  readonly #handle: (request: Uint8Array) => void;
  #stopped = false;
  #inVain = 0;
  #passOver = 0;

  /** `handle` is given one request at a time, whose bytes are valid until it returns; it must not throw. */
  constructor(ring: Requests, handle: (request: Uint8Array) => void) {
    this.#ring = ring;
    this.#handle = handle;
  }

  start(): void {
    this.#sleep();
  }

  /** From now on nothing is handled. */
  stop(): void {
    this.#stopped = true;
  }

  readonly #turn = (): void => {
    for (let handled = 0; handled < REQUESTS_PER_TURN && !this.#stopped; handled++) {
      let request = this.#ring.peek();
      if (!request && handled > 0) request = this.#next();
      if (!request) {
        this.#sleep();
        return;
      }
      this.#handle(request);
      this.#ring.release();
    }
    if (!this.#stopped) setImmediate(this.#turn);
  };

  /** A request that comes within the moment, where that is worth watching. */
  #next(): Uint8Array | undefined {
    if (this.#passOver > 0) {
      this.#passOver--;
      return undefined;
    }
    const came = this.#ring.linger(LINGER_MS);
    this.#inVain = came ? 0 : this.#inVain + 1;
    this.#passOver = PASSED_OVER[this.#inVain] ?? MOST_PASSED_OVER;
    return came ? this.#ring.peek() : undefined;
  }

  #sleep(): void {
    this.#ring.whenMore(this.#turn);
  }
}
