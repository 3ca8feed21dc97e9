/**
 * Pieces of files that other threads read before anybody asks for them, in memory that is used again: whoever comes for them
 * finds them there, without a word to the disk.
 *
 * They are unverified, as what is read from the disk always is. A file never changes once it was read: its number does not
 * come again.
 */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { MAX_BLOCK_BYTES } from '../block.ts';
import type { OpenFiles } from './open-files.ts';

const readLater = promisify(read);

/** Threads that read ahead at once; beyond it whoever reads them waits for the disk himself. */
const THREADS = 4;
/** What two readers in sequence have ahead of them, in quarters of a window of 2 MiB. */
const MAX_PIECES = 8;

interface Piece {
  memory: Buffer;
  /** Of which file; undefined where it holds nothing. */
  id: number | undefined;
  from: number;
  to: number;
  busy: boolean;
}

export class PiecesAhead {
  readonly #files: OpenFiles;
  readonly #onRead: () => void;
  /** The one brought longest ago first. */
  readonly #pieces: Piece[] = [];
  #busy = 0;

  /** `onRead` is told when the disk has answered. */
  constructor(files: OpenFiles, onRead: () => void) {
    this.#files = files;
    this.#onRead = onRead;
  }

  /** Reads bytes `from`..`to` of file `id` meanwhile, unless there is enough to do. Never fails. */
  bring(id: number, from: number, to: number): void {
    if (this.#busy >= THREADS || to - from > MAX_BLOCK_BYTES || this.find(id, from, to)) return;
    const piece = this.#take(to - from);
    this.#busy++;
    this.#fill(piece, id, from, to)
      // Whoever reads it will be told.
      .catch(() => undefined)
      .finally(() => {
        piece.busy = false;
        this.#busy--;
      });
  }

  /** Bytes `from`..`to` of file `id`, where they were brought; valid in this turn. */
  find(id: number, from: number, to: number): Uint8Array | undefined {
    for (const piece of this.#pieces) {
      if (piece.id === id && piece.from <= from && piece.to >= to)
        return piece.memory.subarray(from - piece.from, to - piece.from);
    }
    return undefined;
  }

  #take(length: number): Piece {
    const at = this.#pieces.length < MAX_PIECES ? -1 : this.#pieces.findIndex((piece) => !piece.busy);
    const piece = this.#pieces.splice(at, at < 0 ? 0 : 1)[0] ?? emptyPiece();
    piece.id = undefined;
    piece.busy = true;
    if (piece.memory.length < length) piece.memory = Buffer.allocUnsafeSlow(length);
    this.#pieces.push(piece);
    return piece;
  }

  async #fill(piece: Piece, id: number, from: number, to: number): Promise<void> {
    const file = await this.#files.borrow(id);
    try {
      const { bytesRead } = await readLater(file.descriptor, piece.memory, 0, to - from, from);
      this.#onRead();
      piece.from = from;
      piece.to = from + bytesRead;
      piece.id = id;
    } finally {
      this.#files.giveBack(file);
    }
  }
}

function emptyPiece(): Piece {
  return { memory: Buffer.alloc(0), id: undefined, from: 0, to: 0, busy: false };
}
