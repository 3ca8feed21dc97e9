/**
 * UnixFS over blocks: entries by content key, names in directories, listings, and the index of a file.
 *
 * One cache, bounded by bytes, holds what was decoded, so that a directory is decoded once however it is reached and a
 * file's inner nodes are read through without parsing them again. An entry is a pure function of its block: nothing
 * here is ever stale, and evicting costs time alone.
 */
import { LRUCache } from 'lru-cache';
import { CodedError, codeOf } from '../base/errors.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import { type Clock, systemClock } from '../blocks/clock.ts';
import { type ContentKey, cidOf } from './content-key.ts';
import { isEntryName } from './entry-name.ts';
import { FileIndex } from './file-index.ts';
import { type FoundLink, findInShards, type LoadShard, listShards } from './hamt-directory.ts';
import type { HamtShard } from './hamt-shard.ts';
import { leafOnDisk } from './leaf-ends.ts';
import type { LinkTable } from './link-table.ts';
import { SharedListings } from './shared-listings.ts';
import { decodeUnixfsEntry, entryMemoryBytes, type UnixfsEntry } from './unixfs-entry.ts';

/** Half of it holds the inner nodes of a file of 190 GB in blocks of 1 MiB, or 19,000 directories of ten entries. */
const DEFAULT_CACHE_BYTES = 24 * 1024 * 1024;
/** Whoever reads a listing by cursor asks again within this; it may be of 350 MB. */
const OVERSIZED_KEPT_MS = 60_000;

export interface UnixfsReaderOptions {
  /** Bounds what is kept decoded, half of it each for entries and for listings of sharded directories. */
  readonly cacheBytes?: number;
  readonly clock?: Clock;
}

export class UnixfsReader {
  readonly blocks: BlockReader;
  readonly #entries: LRUCache<ContentKey, UnixfsEntry>;
  /** Those of them that were decoded ahead of readers, and that none has needed yet; what their blocks measure. */
  readonly #ahead = new Map<ContentKey, number>();
  /** Listings of sharded directories: the whole of one, by the key of its root shard. */
  readonly #listings: LRUCache<ContentKey, LinkTable>;
  /**
   * The latest listing too large for the cache, until it was not used for a while: without it, reading it by cursor would
   * be quadratic.
   */
  #oversized: { readonly key: ContentKey; readonly listing: LinkTable } | undefined;
  #unschedule: (() => void) | undefined;
  readonly #clock: Clock;

  readonly #walks: SharedListings;

  constructor(
    blocks: BlockReader,
    { cacheBytes = DEFAULT_CACHE_BYTES, clock = systemClock }: UnixfsReaderOptions = {},
  ) {
    this.blocks = blocks;
    this.#clock = clock;
    this.#walks = new SharedListings(clock);
    const maxSize = Math.max(1, Math.floor(cacheBytes / 2));
    this.#entries = new LRUCache({
      maxSize,
      sizeCalculation: entryMemoryBytes,
      dispose: (_entry, key) => this.#ahead.delete(key),
    });
    this.#listings = new LRUCache({ maxSize, sizeCalculation: (listing) => listing.memoryBytes });
  }

  /** The entry if it is decoded already; never waits, never reads. */
  known(key: ContentKey): UnixfsEntry | undefined {
    return this.#entries.get(key);
  }

  /** True where `entry` will answer in this turn. */
  has(key: ContentKey): boolean {
    return this.#entries.has(key) || this.blocks.has(cidOf(key));
  }

  /** @throws DAG_INVALID where the block is malformed, and what `blocks/` throws. */
  entry(key: ContentKey, options: WantOptions): MaybePromise<UnixfsEntry> {
    const known = this.#entries.get(key);
    if (known) {
      this.needed(key, options);
      return known;
    }
    const leaf = leafOnDisk(this.blocks, key, options);
    if (leaf) return this.#remember(key, leaf.entry, leaf.blockBytes, options);
    return chain(this.blocks.get(cidOf(key), options), (bytes) =>
      this.#remember(key, decode(key, bytes), bytes.length, options),
    );
  }

  /**
   * Somebody uses the entry `known` gave: its block is on his account, too, where it came and was decoded ahead of him. A
   * profile of what a start needs would lack it otherwise.
   */
  needed(key: ContentKey, { priority, account }: WantOptions): void {
    const sizeBytes = this.#ahead.get(key);
    if (sizeBytes === undefined || (priority !== 'demand' && priority !== 'metadata')) return;
    if (priority === 'demand') this.#ahead.delete(key);
    account?.(cidOf(key), sizeBytes, { priority, origin: 'memory', fetched: false });
  }

  /**
   * The link of that name in the directory `key`, reading no more than its path; undefined where there is none.
   * @throws NOT_A_DIRECTORY, DAG_INVALID, and what `blocks/` throws.
   */
  find(key: ContentKey, name: Uint8Array, options: WantOptions): MaybePromise<FoundLink | undefined> {
    return chain(this.entry(key, options), (entry) => {
      if (!isEntryName(name, 0, name.length)) return undefined;
      if (entry.kind === 'shard') return findInShards(entry.shard, name, this.#shards(options));
      if (entry.kind !== 'directory') throw notADirectory(entry);
      const link = entry.entries.indexOf(name);
      return link < 0 ? undefined : { table: entry.entries, link };
    });
  }

  /** All entries of the directory `key`, always in the same order. @throws as `find` does. */
  list(key: ContentKey, options: WantOptions): MaybePromise<LinkTable> {
    const kept = this.#listings.get(key) ?? this.#oversizedOf(key);
    if (kept) return kept;
    return chain(this.entry(key, options), (entry) => {
      if (entry.kind === 'directory') return entry.entries;
      if (entry.kind !== 'shard') throw notADirectory(entry);
      return this.#walks.run(key, options, (shared) => this.#listShards(key, entry.shard, shared));
    });
  }

  /** Where the bytes of the file `key` stand, `sizeBytes` of them. Reads nothing by itself. */
  file(key: ContentKey, sizeBytes: number): FileIndex {
    return new FileIndex(this, key, sizeBytes);
  }

  #remember(key: ContentKey, entry: UnixfsEntry, blockBytes: number, { priority }: WantOptions): UnixfsEntry {
    this.#entries.set(key, entry);
    if (priority !== 'demand' && this.#entries.has(key)) this.#ahead.set(key, blockBytes);
    return entry;
  }

  async #listShards(key: ContentKey, root: HamtShard, options: WantOptions): Promise<LinkTable> {
    const listing = await listShards(root, this.#shards(options));
    this.#listings.set(key, listing);
    if (!this.#listings.has(key)) this.#keep({ key, listing });
    return listing;
  }

  #oversizedOf(key: ContentKey): LinkTable | undefined {
    if (this.#oversized?.key !== key) return undefined;
    this.#keep(this.#oversized);
    return this.#oversized.listing;
  }

  #keep(oversized: { readonly key: ContentKey; readonly listing: LinkTable }): void {
    this.#unschedule?.();
    this.#oversized = oversized;
    this.#unschedule = this.#clock.schedule(OVERSIZED_KEPT_MS, () => {
      this.#oversized = undefined;
    });
  }

  #shards(options: WantOptions): LoadShard {
    return (key) =>
      chain(this.entry(key, options), (entry): HamtShard => {
        if (entry.kind === 'shard') return entry.shard;
        throw new CodedError('DAG_INVALID', `not a sharded directory: a ${entry.kind} where a shard belongs`);
      });
  }
}

function decode(key: ContentKey, bytes: Uint8Array): UnixfsEntry {
  try {
    return decodeUnixfsEntry(key, bytes);
  } catch (cause) {
    throw new CodedError(codeOf(cause), `block ${cidOf(key)}`, { cause });
  }
}

function notADirectory(entry: UnixfsEntry): CodedError {
  return new CodedError('NOT_A_DIRECTORY', `a ${entry.kind}, not a directory`);
}
