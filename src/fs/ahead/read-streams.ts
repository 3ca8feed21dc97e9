/**
 * Recognises how a file is read: front to back, at a stride, or at random, by several readers at once.
 *
 * A read belongs to the stream that it continues, or nearly continues: the kernel's own readahead sends what it wants of
 * one reader in parallel, so neighbours arrive out of order. A read that continues nothing begins a stream of its own,
 * of which nothing is expected until a second read bears it out: that is what a random reader looks like for ever.
 */

/** How many readers of one file are told apart; the one that read least recently is given up for another. */
const STREAMS_PER_FILE = 16;

export type Pattern = 'random' | 'sequential' | 'strided';

export class ReadStream {
  /** Of the read that came last, in bytes. */
  offset: number;
  length: number;
  /** How far a sequential stream has come. */
  end: number;
  /** From one read's start to the next one's. */
  stride = 0;
  pattern: Pattern = 'random';

  constructor(offset: number, length: number) {
    this.offset = offset;
    this.length = length;
    this.end = offset + length;
  }

  /** Takes the read as this stream's next if it is, and says so. */
  accept(offset: number, length: number): boolean {
    const step = offset - this.offset;
    // A read's length of gap ahead, two behind: scale-free, and far too little for random reads of a large file to meet.
    const sequential = offset >= this.end - 2 * this.length && offset <= this.end + this.length;
    const strided = step !== 0 && step === this.stride;
    if (!sequential && !strided) return false;
    this.pattern = sequential && !(strided && this.pattern === 'strided') ? 'sequential' : 'strided';
    this.stride = step;
    this.offset = offset;
    this.length = length;
    this.end = sequential ? Math.max(this.end, offset + length) : offset + length;
    return true;
  }

  /** Two reads that continue nothing, at the same distance from each other as a third: the beginning of a stride. */
  becomeStrided(offset: number, length: number, stride: number): void {
    this.pattern = 'strided';
    this.stride = stride;
    this.offset = offset;
    this.length = length;
    this.end = offset + length;
  }
}

export class ReadStreams {
  /** Most recently read first. */
  #streams: ReadStream[] = [];

  /** The stream that the read belongs to, with what is now known of it; `dropped` is the one given up for it, if any. */
  observe(offset: number, length: number): { readonly stream: ReadStream; readonly dropped: ReadStream | undefined } {
    const found = this.#streams.findIndex((stream) => stream.accept(offset, length));
    if (found >= 0) return { stream: this.#toFront(found), dropped: undefined };
    const strided = this.#findStride(offset);
    if (strided) {
      const [stream] = this.#streams.splice(strided.last, 1) as [ReadStream];
      stream.becomeStrided(offset, length, strided.stride);
      this.#streams = this.#streams.filter((other) => other !== strided.first);
      this.#streams.unshift(stream);
      return { stream, dropped: undefined };
    }
    const stream = new ReadStream(offset, length);
    this.#streams.unshift(stream);
    const dropped = this.#streams.length > STREAMS_PER_FILE ? this.#streams.pop() : undefined;
    return { stream, dropped };
  }

  /** All of them, for whoever ends their reading ahead. */
  streams(): readonly ReadStream[] {
    return this.#streams;
  }

  #toFront(index: number): ReadStream {
    const [stream] = this.#streams.splice(index, 1) as [ReadStream];
    this.#streams.unshift(stream);
    return stream;
  }

  /** Two lone reads before this one, at one distance: looked for among the last four, since others read in between. */
  #findStride(
    offset: number,
  ): { readonly first: ReadStream; readonly last: number; readonly stride: number } | undefined {
    const recent = this.#streams.slice(0, 4);
    for (const [last, stream] of recent.entries()) {
      const stride = offset - stream.offset;
      if (stream.pattern !== 'random' || stride === 0) continue;
      const first = recent.find((other) => other.pattern === 'random' && stream.offset - other.offset === stride);
      if (first) return { first, last, stride };
    }
    return undefined;
  }
}
