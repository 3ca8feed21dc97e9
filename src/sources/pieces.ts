/**
 * Bytes that come in pieces, put together in the end.
 *
 * A piece is an object of a hundred bytes and more, whatever is in it, and how a body is cut is for its sender to say: of
 * one that comes byte by byte a block would take hundreds of megabytes. So many small ones are put together on the way.
 */

/** Of the usual 16 to 64 KiB a block has no more than 128. */
const MOST_LOOSE = 1024;

export class Pieces {
  #sizeBytes = 0;
  /** Each put together of MOST_LOOSE pieces. */
  readonly #together: Uint8Array[] = [];
  #loose: Uint8Array[] = [];

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  add(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#loose.push(piece);
    this.#sizeBytes += piece.length;
    if (this.#loose.length < MOST_LOOSE) return;
    this.#together.push(Buffer.concat(this.#loose));
    this.#loose = [];
  }

  /** All of them in order: the only piece itself where there is one, else a copy. */
  get bytes(): Uint8Array {
    const pieces = [...this.#together, ...this.#loose];
    const [only] = pieces;
    return pieces.length === 1 && only ? only : Buffer.concat(pieces, this.#sizeBytes);
  }
}
