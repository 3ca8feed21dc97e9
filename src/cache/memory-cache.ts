/**
 * Verified blocks in memory, bounded by bytes; the least recently used goes first.
 *
 * What it is for: the block that several small reads touch, and the inner nodes of DAGs. File data is the kernel's page
 * cache's business and a hit there never comes here: what was read to its end is dropped (`BlockReader.readToEnd`), so that a
 * stream has in it what is ahead of its reader, and no more.
 *
 * Small blocks have a third of it, and large ones what those leave. A walk over a million names would fill all of it with
 * directories, which are kept decoded anyway; and when a stream's large blocks then took their place, the C library would keep
 * the memory of the small ones for itself, in holes.
 */

import { LRUCache } from 'lru-cache';
import type { CID } from 'multiformats/cid';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import { isLarge, keep, letGo } from '../blocks/block-memory.ts';
import type { BlockSink, BlockStore } from '../blocks/block-store.ts';

/** What an entry costs besides its bytes (key, list links, the view and its buffer); measured, rounded up. */
const ENTRY_OVERHEAD_BYTES = 256;
const SMALL_SHARE = 3;

export class MemoryCache implements BlockStore, BlockSink {
  readonly name = 'memory';
  readonly #maxBytes: number;
  readonly #large: LRUCache<BlockKey, Uint8Array>;
  readonly #small: LRUCache<BlockKey, Uint8Array>;

  /** `maxBytes` bounds blocks and bookkeeping together; a block larger than its share of that is not kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#large = blocksWithin(maxBytes);
    this.#small = blocksWithin(Math.floor(maxBytes / SMALL_SHARE));
  }

  get sizeBytes(): number {
    return this.#large.calculatedSize + this.#small.calculatedSize;
  }

  get blocks(): number {
    return this.#large.size + this.#small.size;
  }

  has(key: BlockKey): boolean {
    return this.#small.has(key) || this.#large.has(key);
  }

  get(key: BlockKey): Uint8Array | undefined {
    return this.#small.get(key) ?? this.#large.get(key);
  }

  getRange(key: BlockKey, start: number, end: number): Uint8Array | undefined {
    const bytes = this.get(key);
    return bytes && bytes.length >= end ? bytes.subarray(start, end) : undefined;
  }

  /** Keeps the block no longer, if it does. */
  drop(key: BlockKey): void {
    if (!this.#small.delete(key)) this.#large.delete(key);
  }

  /** Keeps a verified block. A small view of a large buffer is copied: it would hold all of the buffer. */
  admit(cid: CID, bytes: Uint8Array): void {
    const wasteful = bytes.buffer.byteLength > 2 * bytes.length + ENTRY_OVERHEAD_BYTES;
    const key = blockKey(cid);
    const kept = wasteful ? new Uint8Array(bytes) : bytes;
    const blocks = isLarge(bytes.length) ? this.#large : this.#small;
    if (blocks.get(key) === kept) return;
    keep(kept);
    blocks.set(key, kept);
    // It may be larger than the cache.
    if (blocks.peek(key) !== kept) letGo(kept);
    while (this.sizeBytes > this.#maxBytes) this.#large.pop();
  }
}

function blocksWithin(maxBytes: number): LRUCache<BlockKey, Uint8Array> {
  return new LRUCache({
    maxSize: Math.max(1, maxBytes),
    sizeCalculation: (bytes) => bytes.length + ENTRY_OVERHEAD_BYTES,
    dispose: letGo,
  });
}
