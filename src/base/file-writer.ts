/**
 * Writes to a file that is open, in another thread: a disk that hangs keeps that one, and nobody else. One write at a time, so
 * that all comes in its order; what comes meanwhile waits, and is the next one.
 *
 * What a full disk refuses is tried again, whole, for as long as the process lives; a write that hangs is waited for. At the
 * end of the process, a crash included, what still waits is written in the thread that ends, but for a disk that hangs: with a
 * thread in the kernel no process exits, so that it ends by SIGKILL then, and what waited is lost.
 */
import { write, writeSync } from 'node:fs';
import { die } from './die.ts';

/** To a disk that is full, or fails. */
const RETRY_MS = 1000;
/** A disk that takes longer over one write is taken to hang, at the end of the process. */
const HANGS_MS = 300;
/** Then, for the other thread to come to what it has. */
const LAST_TURN_MS = 20;

/** As `fs.write`: `onEnd` is told in a later turn. */
type Write = (
  descriptor: number,
  bytes: Uint8Array,
  onEnd: (error: Error | null | undefined, writtenBytes: number) => void,
) => void;

export class FileWriter {
  readonly #descriptor: number;
  readonly #write: Write;
  #waiting: string[] = [];
  #onWritten: (() => void)[] = [];
  /** What the other thread has, or was refused. */
  #left: Uint8Array = new Uint8Array();
  #writableLength = 0;
  /** Undefined while no write is under way. */
  #sinceMs: number | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(descriptor: number, how: Write = (...args) => write(...args)) {
    this.#descriptor = descriptor;
    this.#write = how;
    process.on('exit', () => this.#atExit());
  }

  /** What is not written: bytes of what is under way, characters of what waits. */
  get writableLength(): number {
    return this.#writableLength + this.#left.length;
  }

  /** `onWritten` is called once all of it so far is written, or was refused. */
  write(text: string, onWritten?: () => void): void {
    if (text !== '') this.#waiting.push(text);
    this.#writableLength += text.length;
    if (onWritten) this.#onWritten.push(onWritten);
    if (this.#retry === undefined) this.#next();
    else this.#tellWritten();
  }

  #next(): void {
    if (this.#sinceMs !== undefined) return;
    if (this.#left.length === 0) this.#take();
    if (this.#left.length === 0) {
      this.#tellWritten();
      return;
    }
    this.#sinceMs = performance.now();
    this.#write(this.#descriptor, this.#left, (error, writtenBytes) => {
      this.#sinceMs = undefined;
      this.#left = this.#left.subarray(error ? 0 : writtenBytes);
      if (!error && writtenBytes > 0) {
        this.#next();
        return;
      }
      this.#tellWritten();
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.#next();
      }, RETRY_MS).unref();
    });
  }

  #take(): void {
    this.#left = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#writableLength = 0;
  }

  #tellWritten(): void {
    for (const tell of this.#onWritten.splice(0)) tell();
  }

  #atExit(): void {
    if (this.#sinceMs !== undefined) {
      if (performance.now() - this.#sinceMs > HANGS_MS) die();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LAST_TURN_MS);
      this.#left = new Uint8Array();
    }
    try {
      for (;;) {
        if (this.#left.length === 0) this.#take();
        if (this.#left.length === 0) return;
        this.#left = this.#left.subarray(writeSync(this.#descriptor, this.#left));
      }
    } catch {
      // It is full, or gone, and there will be no other time.
    }
  }
}
