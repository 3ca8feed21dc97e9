/**
 * Verified blocks in memory, bounded by bytes; the least recently used goes first.
 *
 * What it is for: the block that several small reads touch, and the inner nodes of DAGs. File data is the kernel's page
 * cache's business and a hit there never comes here.
 */

import { LRUCache } from 'lru-cache';
import type { CID } from 'multiformats/cid';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import { keep, letGo } from '../blocks/block-memory.ts';
import type { BlockSink, BlockStore } from '../blocks/block-store.ts';

/** What an entry costs besides its bytes (key, list links, the view and its buffer); measured, rounded up. */
const ENTRY_OVERHEAD_BYTES = 256;

export class MemoryCache implements BlockStore, BlockSink {
  readonly name = 'memory';
  readonly #blocks: LRUCache<BlockKey, Uint8Array>;

  /** `maxBytes` bounds blocks and bookkeeping together; a block larger than that is not kept. */
  constructor(maxBytes: number) {
    this.#blocks = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: (bytes) => bytes.length + ENTRY_OVERHEAD_BYTES,
      dispose: letGo,
    });
  }

  get sizeBytes(): number {
    return this.#blocks.calculatedSize;
  }

  get blocks(): number {
    return this.#blocks.size;
  }

  has(key: BlockKey): boolean {
    return this.#blocks.has(key);
  }

  get(key: BlockKey): Uint8Array | undefined {
    return this.#blocks.get(key);
  }

  getRange(key: BlockKey, start: number, end: number): Uint8Array | undefined {
    const bytes = this.#blocks.get(key);
    return bytes && bytes.length >= end ? bytes.subarray(start, end) : undefined;
  }

  /** Keeps a verified block. A small view of a large buffer is copied: it would hold all of the buffer. */
  admit(cid: CID, bytes: Uint8Array): void {
    const wasteful = bytes.buffer.byteLength > 2 * bytes.length + ENTRY_OVERHEAD_BYTES;
    const key = blockKey(cid);
    const kept = wasteful ? new Uint8Array(bytes) : bytes;
    if (this.#blocks.get(key) === kept) return;
    keep(kept);
    this.#blocks.set(key, kept);
    // It may be larger than the cache.
    if (this.#blocks.peek(key) !== kept) letGo(kept);
  }
}
