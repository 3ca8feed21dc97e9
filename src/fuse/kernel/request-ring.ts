/**
 * Requests on their way from the thread that reads the device to the thread that answers: a ring in shared memory, one
 * writer and one reader, no lock.
 *
 * The device is read straight into the ring and a request is handled where it lies, so that handing one over costs one
 * store and, where the other thread sleeps, one wake-up; under load many are handled for one wake-up.
 *
 * Records are `[length: u32][padding: u32][bytes]`, aligned to eight. A length of `WRAP` sends the reader to the start.
 * Positions are offsets into the data; equal means empty, and the writer never fills the last gap, so full is not equal.
 */
import { REQUEST_LIMIT_BYTES } from './protocol.ts';

/** Indices into the control words. */
const READ_AT = 0;
const WRITE_AT = 1;
/** 1 while the writer sleeps because the ring is full. */
const WRITER_SLEEPS = 2;
/** 1 where requests are to be noted in the journal. */
const JOURNALLED = 3;
/** 1 where no more requests are to be read. */
const STOPPED = 4;
const CONTROL_BYTES = 64;

const RECORD_HEADER_BYTES = 8;
const WRAP = 0xffff_ffff;
/** 1 MiB holds some ten thousand look-ups: more than what the kernel lets pile up before its callers wait anyway. */
const DATA_BYTES = 1024 * 1024;
/** The room that a request may need, and with which the writer must not catch up with the reader. */
const ROOM_BYTES = RECORD_HEADER_BYTES + REQUEST_LIMIT_BYTES + 8;

abstract class RingEnd {
  protected readonly control: Int32Array;
  protected readonly data: Uint8Array;
  protected readonly lengths: Uint32Array;

  constructor(shared: SharedArrayBuffer) {
    this.control = new Int32Array(shared, 0, CONTROL_BYTES / 4);
    this.data = new Uint8Array(shared, CONTROL_BYTES, DATA_BYTES);
    this.lengths = new Uint32Array(shared, CONTROL_BYTES, DATA_BYTES / 4);
  }
}

/** Memory for one ring. */
export function createRingMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_BYTES + DATA_BYTES);
}

/** The end of the thread that reads the device. */
export class RingWriter extends RingEnd {
  #at = 0;

  /** Room for one request; waits for it where the ring is full. */
  reserve(): Uint8Array {
    for (;;) {
      const readAt = Atomics.load(this.control, READ_AT);
      if (this.#at >= readAt) {
        if (DATA_BYTES - this.#at >= ROOM_BYTES) break;
        if (readAt > ROOM_BYTES) {
          this.lengths[this.#at / 4] = WRAP;
          this.#at = 0;
          break;
        }
      } else if (readAt - this.#at > ROOM_BYTES) break;
      Atomics.store(this.control, WRITER_SLEEPS, 1);
      Atomics.wait(this.control, READ_AT, readAt);
      Atomics.store(this.control, WRITER_SLEEPS, 0);
    }
    const start = this.#at + RECORD_HEADER_BYTES;
    return this.data.subarray(start, start + REQUEST_LIMIT_BYTES);
  }

  /** True where the other end wants each request noted before it is handed over. */
  get journalled(): boolean {
    return Atomics.load(this.control, JOURNALLED) === 1;
  }

  /** True where the other end wants no more. */
  get stopped(): boolean {
    return Atomics.load(this.control, STOPPED) === 1;
  }

  /** Hands over the first `length` bytes of what `reserve` gave. */
  commit(length: number): void {
    this.lengths[this.#at / 4] = length;
    this.#at += RECORD_HEADER_BYTES + ((length + 7) & ~7);
    Atomics.store(this.control, WRITE_AT, this.#at);
    Atomics.notify(this.control, WRITE_AT);
  }
}

/** The end of the thread that answers. */
export class RingReader extends RingEnd {
  #at = 0;
  #next = 0;

  /** The oldest request, valid until `release`; undefined where there is none. */
  peek(): Uint8Array | undefined {
    if (Atomics.load(this.control, WRITE_AT) === this.#at) return undefined;
    if (this.lengths[this.#at / 4] === WRAP) this.#at = 0;
    const length = this.lengths[this.#at / 4] ?? 0;
    const start = this.#at + RECORD_HEADER_BYTES;
    this.#next = start + ((length + 7) & ~7);
    return this.data.subarray(start, start + length);
  }

  /** From now on requests are noted before they are handed over. */
  journal(): void {
    Atomics.store(this.control, JOURNALLED, 1);
  }

  /** From now on no request is read but the one, if any, that is waited for already. */
  stop(): void {
    Atomics.store(this.control, STOPPED, 1);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.control, WRITE_AT) === this.#at;
  }

  /** Gives back what `peek` showed. */
  release(): void {
    this.#at = this.#next;
    Atomics.store(this.control, READ_AT, this.#at);
    if (Atomics.load(this.control, WRITER_SLEEPS) === 1) Atomics.notify(this.control, READ_AT);
  }

  /**
   * Watches for the next request without giving up the processor, at most `limitMs`. True where one is there. Being
   * woken up costs more than this takes: with it `tar` of small files is twice as fast, and the processor less busy.
   */
  linger(limitMs: number): boolean {
    const until = performance.now() + limitMs;
    do {
      // A look at the clock costs as much as many looks at the ring.
      for (let looks = 0; looks < 50; looks++) {
        if (Atomics.load(this.control, WRITE_AT) !== this.#at) return true;
      }
    } while (performance.now() < until);
    return false;
  }

  /** Calls `wake` once, in a later turn, when a request comes or is there already. Does not keep the process alive. */
  whenMore(wake: () => void): void {
    const waiting = Atomics.waitAsync(this.control, WRITE_AT, this.#at);
    if (waiting.async) void waiting.value.then(wake);
    else setImmediate(wake);
  }
}
