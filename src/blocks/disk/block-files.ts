/**
 * Large blocks as files, named by number, in a few hundred directories. What a number means, and which of the files are
 * wanted, stands in the database.
 *
 * Reads are answered in the same turn as long as the disk does so in a blink; once it does not (a disk that spins up, a
 * network drive, one that is dying), they go through Node's threads until it does again, so that a slow disk delays those
 * who read from it and nobody else. A read that takes longer than its reader has patience fails, and while it hangs so do
 * all others, at once: the block may be had elsewhere. Whoever waits in line is patient as long as others are answered:
 * a disk that is only slow has all readers served in the end. Few threads are taken, so that a disk that hangs leaves the others
 * to whoever else needs one.
 */
import { close, open, read, readdirSync, readSync, rmSync, write } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { MaybePromise } from '../../base/maybe-promise.ts';
import type { Scratch } from '../../base/scratch.ts';
import { OpenFiles } from './open-files.ts';
import { PiecesAhead } from './pieces-ahead.ts';
import { Places } from './places.ts';

/** Not by file handles: those take a tenth more of the processor for each block that is written. */
const [openLater, readLater, writeLater, closeLater] = [
  promisify(open),
  promisify(read),
  promisify(write),
  promisify(close),
];

/** Directories: a million blocks make a few thousand names in each. A file's is its number modulo this. */
const FANOUT = 256;
/**
 * So many files follow each other in one directory, a file of 1 GiB in blocks of 1 MiB: what was written together is read
 * together, and the first one that is opened of a directory brings from the disk what there is to know of the others.
 */
const IN_A_ROW = 1024;
/** What a file takes of the disk is counted in these. */
export const FILE_UNIT_BYTES = 4096;
/** A seek of a spinning disk takes 10 ms; what takes longer holds up the readers of other volumes. */
const SLOW_READ_MS = 15;
/** A disk that has not been read for this long is asked in another thread first: it may have gone meanwhile. */
const PROVEN_MS = 100;
/** So many reads that took less than a fifth of that make the disk a fast one again. */
const FAST_READS = 64;
/** Threads that reads of a slow disk take at once, and writes: a few keep any disk busy. */
const READERS = 4;
const WRITERS = 3;

export class BlockFiles {
  readonly #directory: string;
  readonly #open = new OpenFiles((id) => this.path(id));
  readonly #ahead = new PiecesAhead(this.#open, () => {
    this.#answeredMs = performance.now();
  });
  /** Above 0 the disk is slow, and so many fast reads must follow. */
  #slowFor = 0;
  /** When a read ended last. */
  #answeredMs = Number.NEGATIVE_INFINITY;
  /** Reads that nobody waits for any more, and that have not ended. */
  #overdue = 0;
  readonly #patienceMs: number;
  readonly #readers = new Places(READERS);
  readonly #writers = new Places(WRITERS);

  /** `patienceMs`: how long a reader waits for a slow disk. */
  constructor(directory: string, patienceMs: number) {
    this.#directory = join(directory, 'files');
    this.#patienceMs = patienceMs;
  }

  /** What a block of that size takes on the disk. */
  static bytesOnDisk(sizeBytes: number): number {
    return Math.ceil(sizeBytes / FILE_UNIT_BYTES) * FILE_UNIT_BYTES;
  }

  /**
   * The number of the file that comes after `id`: a higher one, in the same directory as long as that is not full. An older
   * program counted by ones, and finds each by its number all the same.
   */
  static after(id: number): number {
    const next = id + FANOUT;
    const row = Math.floor(id / (FANOUT * IN_A_ROW));
    const nextRow = (row + 1) * FANOUT * IN_A_ROW;
    return next < nextRow ? next : nextRow + ((row + 1) % FANOUT);
  }

  /**
   * Bytes `from`..`to` (exclusive), fewer where the file is shorter. With `scratch`, what is answered in this turn is valid
   * as long as what stands in it; of one that outlives its turn that is true of what comes later, too. @throws the file system's error
   */
  read(id: number, from: number, to: number, scratch?: Scratch): MaybePromise<Uint8Array> {
    const ahead = this.#ahead.find(id, from, to);
    if (ahead) return scratch && !scratch.outlivesTurn ? ahead : new Uint8Array(ahead);
    const begun = performance.now();
    const isLater = this.#slowFor > 0 || begun > this.#answeredMs + PROVEN_MS;
    const memory = isLater && !scratch?.outlivesTurn ? undefined : scratch;
    const bytes = memory?.take(to - from) ?? Buffer.allocUnsafeSlow(to - from);
    if (isLater) return this.#readLater(id, bytes, from);
    const length = readSync(this.#open.here(id), bytes, 0, bytes.length, from);
    this.#took(begun);
    return bytes.subarray(0, length);
  }

  /** Has bytes `from`..`to` read meanwhile, unless the disk has enough to do. */
  expect(id: number, from: number, to: number): void {
    if (this.#slowFor === 0 && this.#overdue === 0) this.#ahead.bring(id, from, to);
  }

  /** In another thread. @throws the file system's error; then nothing of it is left. */
  async write(id: number, bytes: Uint8Array): Promise<void> {
    await this.#writers.take();
    try {
      try {
        await writeWhole(this.path(id), bytes);
      } catch (error) {
        if (!isAbsent(error)) throw error;
        await mkdir(this.#directoryOf(id), { recursive: true, mode: 0o700 });
        await writeWhole(this.path(id), bytes);
      }
    } catch (error) {
      this.remove(id);
      throw error;
    } finally {
      this.#writers.give();
    }
  }

  /** A file that is not there, or cannot be removed, is no error: the database does not know it any more. */
  remove(id: number): void {
    this.#open.delete(id);
    try {
      rmSync(this.path(id), { force: true });
    } catch {
      // A disk that became read-only; the next start tries again.
    }
  }

  /** Removes files whose number is `firstUnknown` or more: a crash left them before the database knew of them. */
  sweep(firstUnknown: number): void {
    for (let index = 0; index < FANOUT; index++) {
      let names: string[];
      try {
        names = readdirSync(this.#directoryOf(index));
      } catch {
        continue;
      }
      for (const name of names) if (Number(name) >= firstUnknown) this.remove(Number(name));
    }
  }

  close(): void {
    this.#open.clear();
  }

  path(id: number): string {
    return join(this.#directoryOf(id), String(id));
  }

  async #readLater(id: number, bytes: Buffer, from: number): Promise<Uint8Array> {
    if (this.#overdue > 0) throw new Error('the disk does not answer');
    const { promise: late, reject } = Promise.withResolvers<never>();
    const sinceMs = performance.now();
    let begunMs: number | undefined;
    const reading = this.#readInThread(id, bytes, from, (nowMs) => {
      begunMs = nowMs;
    });
    let timer: NodeJS.Timeout | undefined;
    const watch = (delayMs: number): void => {
      timer = setTimeout(() => {
        const silentSinceMs = begunMs ?? Math.max(sinceMs, this.#answeredMs);
        const leftMs = silentSinceMs + this.#patienceMs - performance.now();
        if (leftMs > 0) return watch(leftMs);
        this.#overdue++;
        const ended = () => this.#overdue--;
        reading.then(ended, ended);
        reject(new Error(`the disk has not answered for ${this.#patienceMs / 1000} s`));
      }, delayMs);
    };
    watch(this.#patienceMs);
    try {
      return await Promise.race([reading, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #readInThread(id: number, bytes: Buffer, from: number, onBegin: (nowMs: number) => void): Promise<Uint8Array> {
    await this.#readers.take();
    const begun = performance.now();
    onBegin(begun);
    try {
      const file = await this.#open.borrow(id);
      try {
        const { bytesRead } = await readLater(file.descriptor, bytes, 0, bytes.length, from);
        return bytes.subarray(0, bytesRead);
      } finally {
        this.#open.giveBack(file);
      }
    } finally {
      this.#took(begun);
      this.#readers.give();
    }
  }

  #took(begunMs: number): void {
    const endMs = performance.now();
    const durationMs = endMs - begunMs;
    this.#answeredMs = endMs;
    if (durationMs > SLOW_READ_MS) this.#slowFor = FAST_READS;
    else if (durationMs < SLOW_READ_MS / 5 && this.#slowFor > 0) this.#slowFor--;
  }

  #directoryOf(id: number): string {
    return join(this.#directory, (id % FANOUT).toString(16).padStart(2, '0'));
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const descriptor = await openLater(path, 'w', 0o600);
  try {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await writeLater(descriptor, bytes, at, bytes.length - at, at);
      at += bytesWritten;
    }
  } finally {
    await closeLater(descriptor);
  }
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
