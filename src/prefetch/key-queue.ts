/**
 * First in, first out, for the keys of a volume's files: 45 bytes each where a million strings in an array take three
 * times that. Freed as it is taken from.
 */
import type { ContentKey } from '../unixfs/content-key.ts';

const CHUNK_BYTES = 64 * 1024;
/** A length in two bytes, a size in eight. */
const HEADER_BYTES = 10;

export interface QueuedKey {
  readonly key: ContentKey;
  /** As given. */
  readonly sizeBytes: number;
}

export class KeyQueue {
  #chunks: Buffer[] = [];
  #readAt = 0;
  #writeAt = CHUNK_BYTES;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(key: ContentKey, sizeBytes: number): void {
    const needed = HEADER_BYTES + key.length;
    let chunk = this.#chunks.at(-1);
    if (!chunk || this.#writeAt + needed > chunk.length) {
      // The rest of a full chunk is marked by the length 0, which no key has.
      if (chunk && this.#writeAt + 2 <= chunk.length) chunk.writeUInt16LE(0, this.#writeAt);
      chunk = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, needed));
      this.#chunks.push(chunk);
      this.#writeAt = 0;
    }
    chunk.writeUInt16LE(key.length, this.#writeAt);
    chunk.writeDoubleLE(sizeBytes, this.#writeAt + 2);
    chunk.write(key, this.#writeAt + HEADER_BYTES, 'latin1');
    this.#writeAt += needed;
    this.#size++;
  }

  shift(): QueuedKey | undefined {
    if (this.#size === 0) return undefined;
    let chunk = this.#chunks[0] as Buffer;
    if (this.#readAt + 2 > chunk.length || chunk.readUInt16LE(this.#readAt) === 0) {
      this.#chunks.shift();
      this.#readAt = 0;
      chunk = this.#chunks[0] as Buffer;
    }
    const length = chunk.readUInt16LE(this.#readAt);
    const sizeBytes = chunk.readDoubleLE(this.#readAt + 2);
    const from = this.#readAt + HEADER_BYTES;
    this.#readAt = from + length;
    this.#size--;
    return { key: chunk.toString('latin1', from, this.#readAt) as ContentKey, sizeBytes };
  }
}
