/**
 * How much of its bound the cache fills: all that it takes on the disk, its index and SQLite's journal included, stays below
 * it, also while something is written, since room is made first.
 */
import type { BlockKey } from '../blocks/block.ts';
import { spaceOf } from '../blocks/disk/disk-total.ts';
import type { CacheDisk } from './cache-disk.ts';

/** SQLite's journal: what two turns write, their blocks and the pages of the tables. */
const MAX_JOURNAL_BYTES = 12 * 1024 * 1024;
/** Unused pages of the index that are kept for the next rows, as a share of the bound. */
const SPARE_SHARE = 1 / 64;

export class CacheRoom {
  readonly limitBytes: number;
  evictions = 0;
  /** Who wants what comes now to stay before what was used again. */
  wanted = 0;
  readonly #onEvicted: (key: BlockKey, sizeBytes: number) => void;
  /** In use, by so many. */
  readonly #held = new Map<BlockKey, number>();
  /** Evicted since the last commit. */
  #evicted: { readonly key: BlockKey; readonly size: number }[] = [];

  /** `onEvicted` is told of each block that went, by `committed`. */
  constructor(limitBytes: number, onEvicted: (key: BlockKey, sizeBytes: number) => void) {
    this.limitBytes = limitBytes;
    this.#onEvicted = onEvicted;
  }

  /** What blocks and index may take. */
  get bytes(): number {
    return this.limitBytes - Math.min(MAX_JOURNAL_BYTES, this.limitBytes / 32) - this.spareBytes;
  }

  /** Unused pages that are kept. */
  get spareBytes(): number {
    return Math.floor(this.limitBytes * SPARE_SHARE);
  }

  /** Until what it gives is called, whatever else can go goes before that block: it is in use, though nobody reads it. */
  hold(key: BlockKey): () => void {
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const others = (this.#held.get(key) ?? 1) - 1;
      if (others > 0) this.#held.set(key, others);
      else this.#held.delete(key);
    };
  }

  /** Evicts until `bytes` more have room; false where only pinned blocks are left. Needs a commit, and `committed` then. @throws the disk's error */
  make({ disk, usage }: CacheDisk, bytes: number): boolean {
    // What an earlier turn did not commit is there still.
    this.#evicted = [];
    const renewed = new Set<BlockKey>();
    let excess = disk.spaceBytes + bytes - this.bytes;
    while (excess > 0) {
      const victims = usage.victims(this.limitBytes, this.wanted > 0);
      if (victims.length === 0) return false;
      for (const { key, size } of victims) {
        // Met a second time, nothing else is left.
        if (this.#held.has(key) && !renewed.has(key)) {
          renewed.add(key);
          usage.renew(key);
          continue;
        }
        disk.delete(key);
        usage.delete(key);
        this.#evicted.push({ key, size });
        excess -= spaceOf(size);
        if (excess <= 0) break;
      }
      // What was guessed of each is counted again: pages become free only as a whole.
      if (excess <= 0) excess = disk.spaceBytes + bytes - this.bytes;
    }
    return true;
  }

  /** What `make` did stays so. */
  committed(): void {
    const evicted = this.#evicted;
    this.#evicted = [];
    this.evictions += evicted.length;
    for (const { key, size } of evicted) this.#onEvicted(key, size);
  }
}
