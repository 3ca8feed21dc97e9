/**
 * A CARv1 as a readable stream, written while it is being sent (https://ipld.io/specs/transport/car/carv1/).
 *
 * Where the root is not known before the last block, the header names none (`import?root=last`). Small blocks
 * are joined to pieces of 256 KiB, or fifty thousand small files would be as many system calls; large ones go as they
 * are, uncopied. No more than a few pieces wait: `write` answers with a promise when the receiver is slower.
 */
import { Readable } from 'node:stream';
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { Block } from './block.ts';
import { carHeader, sectionHead } from './car-format.ts';

/** Joined pieces: what a unix socket takes at once by default is about 200 KiB. */
const PIECE_BYTES = 256 * 1024;
/** What may wait in the stream: a few pieces, so that reading and sending overlap. */
const WAITING_BYTES = 4 * 1024 * 1024;

export class CarStream extends Readable {
  #piece: Uint8Array[];
  #pieceBytes: number;
  #lastKey = '';
  #waiting = Promise.withResolvers<void>();
  #isFull = false;

  /** `root`: what the header names, where that is known. */
  constructor(root?: CID) {
    super({ highWaterMark: WAITING_BYTES });
    const header = carHeader(root);
    this.#piece = [header];
    this.#pieceBytes = header.length;
    // A stream that fails while nobody waits for it: the one who destroyed it knows.
    this.#waiting.promise.catch(() => {});
    this.on('error', () => {});
  }

  /** Takes a block; a promise when the next should wait. @throws ABORTED once the receiver is gone */
  write(block: Block): Promise<void> | undefined {
    if (this.destroyed) return Promise.reject(this.#cutOff(this.errored));
    // A sparse file is one block a thousand times over; the receiver has it already.
    const key = Buffer.from(block.cid.multihash.bytes).toString('latin1');
    if (key === this.#lastKey) return undefined;
    this.#lastKey = key;

    const head = sectionHead(block.cid, block.bytes.length);
    this.#piece.push(head, block.bytes);
    this.#pieceBytes += head.length + block.bytes.length;
    if (this.#pieceBytes >= PIECE_BYTES) this.#flush();
    return this.#isFull ? this.#waiting.promise : undefined;
  }

  /** No more blocks follow. */
  end(): void {
    this.#flush();
    this.push(null);
  }

  #flush(): void {
    // Two buffers (a head and its large block) are cheaper pushed than joined.
    const pieces = this.#piece.length <= 3 ? this.#piece : [Buffer.concat(this.#piece)];
    for (const piece of pieces) if (piece.length > 0) this.#isFull = !this.push(piece);
    this.#piece = [];
    this.#pieceBytes = 0;
  }

  override _read(): void {
    this.#isFull = false;
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers<void>();
    this.#waiting.promise.catch(() => {});
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#waiting.reject(this.#cutOff(error));
    done(error);
  }

  #cutOff(cause: Error | null): CodedError {
    return new CodedError('ABORTED', 'nobody takes the blocks any more', { cause });
  }
}
