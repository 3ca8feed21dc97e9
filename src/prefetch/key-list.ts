/**
 * Keys in the order in which they came, to be gone through again and again, also while more come: 38 bytes each where a
 * million strings in an array take three times that.
 */
import type { ContentKey } from '../unixfs/content-key.ts';

const CHUNK_BYTES = 64 * 1024;
/** Before each key its length. Behind the last one of a chunk stands 0, which no key has, where there is room for it. */
const LENGTH_BYTES = 2;

export class KeyList {
  readonly #chunks: Buffer[] = [];
  #writeAt = CHUNK_BYTES;
  #readChunk = 0;
  #readAt = 0;

  push(key: ContentKey): void {
    const needed = LENGTH_BYTES + key.length;
    let chunk = this.#chunks.at(-1);
    if (!chunk || this.#writeAt + needed > chunk.length) {
      chunk = Buffer.alloc(Math.max(CHUNK_BYTES, needed));
      this.#chunks.push(chunk);
      this.#writeAt = 0;
    }
    chunk.writeUInt16LE(key.length, this.#writeAt);
    chunk.write(key, this.#writeAt + LENGTH_BYTES, 'latin1');
    this.#writeAt += needed;
  }

  /** The next key; undefined where there is none yet. */
  next(): ContentKey | undefined {
    const chunk = this.#chunks[this.#readChunk];
    if (!chunk) return undefined;
    const length = this.#readAt + LENGTH_BYTES > chunk.length ? 0 : chunk.readUInt16LE(this.#readAt);
    if (length > 0) {
      const from = this.#readAt + LENGTH_BYTES;
      this.#readAt = from + length;
      return chunk.toString('latin1', from, this.#readAt) as ContentKey;
    }
    // More may come in the last one.
    if (this.#readChunk === this.#chunks.length - 1) return undefined;
    this.#readChunk++;
    this.#readAt = 0;
    return this.next();
  }

  /** Begins with the first again. */
  rewind(): void {
    this.#readChunk = 0;
    this.#readAt = 0;
  }
}
