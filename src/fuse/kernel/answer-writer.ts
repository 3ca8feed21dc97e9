/**
 * Answers, each one write to the device: struct fuse_out_header and what follows it.
 *
 * Answers of a fixed shape are made in one buffer that is used again and again, which is safe because they are made and
 * written in the same turn.
 */
import { writeSync, writevSync } from 'node:fs';
import { codeOf, messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { ERRNO } from '../errno.ts';
import { REPLY_HEADER_BYTES } from './protocol.ts';

/** The largest structure written here is an entry, 128 bytes. */
const SCRATCH_BYTES = 512;
/** IOV_MAX is 1024; beyond it Node writes in parts, which the device takes for separate answers. */
const MAX_PIECES = 1000;

/** The request is gone, with its process or with the mount: nobody misses the answer. */
const UNDELIVERABLE: ReadonlySet<string> = new Set(['ENOENT', 'ENODEV', 'EPERM', 'EBADF']);

export class AnswerWriter {
  readonly #descriptor: number;
  readonly #logger: Logger;
  readonly #scratch = Buffer.alloc(SCRATCH_BYTES);
  readonly #view = new DataView(this.#scratch.buffer, this.#scratch.byteOffset, SCRATCH_BYTES);
  readonly #before: () => void;
  #onFirst: (() => void) | undefined;

  /** `before` is called before each answer that holds something. */
  constructor(descriptor: number, logger: Logger, before: () => void = () => undefined) {
    this.#descriptor = descriptor;
    this.#logger = logger;
    this.#before = before;
  }

  /** `call` is called once, when the kernel takes an answer from now on. */
  onFirst(call: (() => void) | undefined): void {
    this.#onFirst = call;
  }

  /** `write` puts a structure at the offset and returns its length. True where the kernel took the answer. */
  structure(unique: bigint, write: (view: DataView, offset: number) => number): boolean {
    const length = REPLY_HEADER_BYTES + write(this.#view, REPLY_HEADER_BYTES);
    this.#before();
    this.#header(unique, length, 0);
    return this.#deliver(unique, () => writeSync(this.#descriptor, this.#scratch, 0, length));
  }

  /** `pieces` in order; none is a success without a body. */
  bytes(unique: bigint, pieces: readonly Uint8Array[]): boolean {
    let length = REPLY_HEADER_BYTES;
    for (const piece of pieces) length += piece.length;
    this.#before();
    this.#header(unique, length, 0);
    const header = this.#scratch.subarray(0, REPLY_HEADER_BYTES);
    const body = pieces.length > MAX_PIECES ? [Buffer.concat(pieces)] : pieces;
    return this.#deliver(unique, () => writevSync(this.#descriptor, [header, ...body]));
  }

  /** A failure; `errno` is positive, and 0 is a success without a body. */
  errno(unique: bigint, errno: number): boolean {
    this.#header(unique, REPLY_HEADER_BYTES, errno);
    return this.#deliver(unique, () => writeSync(this.#descriptor, this.#scratch, 0, REPLY_HEADER_BYTES));
  }

  #sayFirst(call: () => void): void {
    this.#onFirst = undefined;
    call();
  }

  #header(unique: bigint, length: number, errno: number): void {
    this.#view.setUint32(0, length, true);
    this.#view.setInt32(4, -errno, true);
    this.#view.setBigUint64(8, unique, true);
  }

  #deliver(unique: bigint, write: () => void): boolean {
    try {
      write();
      if (this.#onFirst) this.#sayFirst(this.#onFirst);
      return true;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? codeOf(error);
      if (UNDELIVERABLE.has(code)) return false;
      // The kernel refused the answer itself; without another one its caller would wait for ever.
      this.#logger.error({ code, error: messageChain(error) }, 'the kernel refuses an answer');
      this.#header(unique, REPLY_HEADER_BYTES, ERRNO.EIO);
      try {
        writeSync(this.#descriptor, this.#scratch, 0, REPLY_HEADER_BYTES);
      } catch {
        // EINVAL with the request ended already, or gone meanwhile: either way nobody waits.
      }
      return false;
    }
  }
}
