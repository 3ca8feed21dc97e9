/**
 * The disk cache: blocks that sources sent, bounded, shared by all volumes, there again after a restart.
 *
 * Eviction is a segmented LRU, in SQLite beside the blocks so that a million of them take no memory. A block starts on
 * probation; one that is read from here again (not from memory, and not by the first reader) is protected. Probation goes
 * first, so that a scan, which reads everything once, pushes out its own blocks and not the hot ones. Pinned blocks never
 * go.
 *
 * What always holds:
 * - `admit` returns at once. Blocks are written between other work; what waits is bounded, and beyond it not kept.
 * - Trouble with the disk costs the caching, never a read: it is said once, and tried again after a while.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockSink, BlockStore } from '../blocks/block-store.ts';
import { BlockDisk } from '../blocks/disk/block-disk.ts';
import { CacheUsage } from './cache-usage.ts';

export interface DiskCacheOptions {
  readonly limitBytes: number;
  readonly logger: Logger;
}

export interface DiskCacheStatistics {
  readonly blocks: number;
  readonly bytes: number;
  readonly limitBytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** Blocks on their way to the disk: two seconds' worth of a 1 Gbit/s link to a slow disk. */
const MAX_PENDING_BYTES = 64 * 1024 * 1024;
/** Written in one turn of the event loop: some milliseconds. */
const BYTES_PER_TURN = 4 * 1024 * 1024;
/** Blocks come in bursts; one commit serves a burst. */
const FLUSH_DELAY_MS = 20;
/** After the disk refused a write. */
const RETRY_DELAY_MS = 30_000;

export class DiskCache implements BlockStore, BlockSink {
  readonly name = 'disk cache';
  readonly #disk: BlockDisk;
  readonly #usage: CacheUsage;
  readonly #directory: string;
  readonly #limitBytes: number;
  readonly #logger: Logger;
  readonly #pending = new Map<BlockKey, Uint8Array>();
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #failing = false;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  /** Opens or makes the cache, smaller at once where the bound has become so. @throws CONFIG_INVALID */
  static async open(directory: string, options: DiskCacheOptions): Promise<DiskCache> {
    try {
      return new DiskCache(directory, options);
    } catch (error) {
      throw new CodedError('CONFIG_INVALID', `the cache in ${directory} cannot be used`, { cause: error });
    }
  }

  private constructor(directory: string, { limitBytes, logger }: DiskCacheOptions) {
    this.#directory = directory;
    this.#limitBytes = limitBytes;
    this.#logger = logger;
    this.#disk = new BlockDisk(directory, { durable: false, logger });
    this.#usage = new CacheUsage(this.#disk.database);
    this.#makeRoom(0);
    this.#disk.commit();
  }

  has(key: BlockKey): boolean {
    return this.#pending.has(key) || this.#disk.has(key);
  }

  get(key: BlockKey): Uint8Array | undefined {
    return this.#counted(key, this.#pending.get(key) ?? this.#disk.get(key));
  }

  getRange(key: BlockKey, start: number, end: number): Uint8Array | undefined {
    const pending = this.#pending.get(key);
    if (pending) return this.#counted(key, pending.length >= end ? pending.subarray(start, end) : undefined);
    return this.#counted(key, this.#disk.getRange(key, start, end));
  }

  admit(cid: CID, bytes: Uint8Array): void {
    const key = blockKey(cid);
    if (bytes.length > this.#limitBytes || this.#pending.has(key)) return;
    if (this.#pendingBytes + bytes.length > MAX_PENDING_BYTES) return;
    this.#pending.set(key, bytes);
    this.#pendingBytes += bytes.length;
    this.#schedule(this.#failing ? RETRY_DELAY_MS : FLUSH_DELAY_MS);
  }

  /** Keeps blocks from eviction, whether they are here already or will be. */
  pin(keys: Iterable<BlockKey>): void {
    this.#usage.pin(keys);
  }

  unpin(keys: Iterable<BlockKey>): void {
    this.#usage.unpin(keys);
  }

  /** Deletes blocks; gives the bytes that became free. Pinned ones stay. */
  evict(keys: Iterable<BlockKey>): number {
    const before = this.#disk.totals.bytes;
    for (const key of keys) {
      if (this.#usage.isPinned(key)) continue;
      this.#disk.delete(key);
      this.#usage.delete(key);
    }
    this.#disk.commit();
    return before - this.#disk.totals.bytes;
  }

  statistics(): DiskCacheStatistics {
    const { blocks, bytes } = this.#disk.totals;
    return {
      blocks,
      bytes,
      limitBytes: this.#limitBytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }

  /** Writes what waits, where the disk takes it. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#failing) while (this.#pending.size > 0 && !this.#failing) this.#writeSome();
    this.#disk.close();
  }

  #counted(key: BlockKey, bytes: Uint8Array | undefined): Uint8Array | undefined {
    if (bytes) {
      this.#hits++;
      this.#usage.touch(key);
    } else {
      this.#misses++;
    }
    return bytes;
  }

  #schedule(delayMs: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writeSome();
      if (this.#pending.size > 0) this.#schedule(this.#failing ? RETRY_DELAY_MS : 0);
    }, delayMs).unref();
  }

  #writeSome(): void {
    let written = 0;
    try {
      for (const [key, bytes] of this.#pending) {
        this.#makeRoom(bytes.length);
        if (this.#disk.put(key, bytes)) this.#usage.add(key, bytes.length);
        this.#pending.delete(key);
        this.#pendingBytes -= bytes.length;
        written += bytes.length;
        if (written >= BYTES_PER_TURN) break;
      }
      this.#usage.flush();
      this.#disk.commit();
      if (this.#failing) this.#logger.info({ directory: this.#directory }, 'the disk cache works again');
      this.#failing = false;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Reads go on; what waited is dropped, and what comes later is tried again. */
  #fail(error: unknown): void {
    this.#pending.clear();
    this.#pendingBytes = 0;
    try {
      this.#disk.abandon();
    } catch {
      // A disk that is gone cannot take back either; the next start sweeps.
    }
    if (!this.#failing) {
      this.#logger.error(
        { directory: this.#directory, error: String(error) },
        'the disk cache cannot be written: going on without it, and trying again every 30 s',
      );
    }
    this.#failing = true;
  }

  #makeRoom(bytes: number): void {
    while (this.#disk.totals.bytes + bytes > this.#limitBytes) {
      const victims = this.#usage.victims(this.#limitBytes);
      if (victims.length === 0) return;
      for (const key of victims) {
        this.#disk.delete(key);
        this.#usage.delete(key);
        this.#evictions++;
        if (this.#disk.totals.bytes + bytes <= this.#limitBytes) break;
      }
    }
  }
}
