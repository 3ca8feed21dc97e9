/**
 * The disk cache: blocks that sources sent, bounded, shared by all volumes, there again after a restart. Which of them go
 * is decided in `cache-usage.ts`.
 *
 * What always holds:
 * - What it takes on the disk, its index and SQLite's journal included, stays below its bound, also while it writes: room
 *   is made first. Where pinned blocks fill it, what comes is not kept.
 * - `admit` returns at once. Blocks are written between other work; what waits is bounded, and beyond it not kept.
 * - Trouble with the disk costs the caching, never a read: it is said once, and tried again after a while. Damage costs the
 *   block, or where it is the index that is damaged, what is cached.
 * - A disk that is slow, or does not answer, is trouble as well: it is asked from another thread before it is written to, and
 *   one that held up the thread that answers readers is left alone for a while, as if nothing were cached.
 */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { hasCode, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockEnds, BlockSink, BlockStore } from '../blocks/block-store.ts';
import { isDamaged } from '../blocks/disk/block-database.ts';
import type { BlockDisk } from '../blocks/disk/block-disk.ts';
import { spaceOf } from '../blocks/disk/disk-total.ts';
import type { Priority } from '../blocks/priority.ts';
import { type CacheDisk, openCacheDisk, removeCache } from './cache-disk.ts';
import { DiskTurns, timed } from './disk-turns.ts';
import { WriteQueue } from './write-queue.ts';

export interface DiskCacheOptions {
  readonly limitBytes: number;
  readonly logger: Logger;
  /** The time of day in ms, for the tests. */
  readonly now?: () => number;
}

export interface DiskCacheStatistics {
  readonly blocks: number;
  readonly bytes: number;
  readonly limitBytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** SQLite's journal: what two turns write, their blocks and the pages of the tables. */
const MAX_JOURNAL_BYTES = 12 * 1024 * 1024;
/** Unused pages of the index that are kept for the next rows, as a share of the bound. */
const SPARE_SHARE = 1 / 64;
/** Blocks evicted on demand in one turn: some ten milliseconds where each is a file. */
const EVICTED_A_TURN = 256;
/** Blocks come in bursts; one commit serves a burst. */
const FLUSH_DELAY_MS = 20;
/** After the disk refused a write. */
const RETRY_DELAY_MS = 30_000;
/** The block can be fetched: a source that is asked twice costs less than a reader who waits longer. */
const PATIENCE_MS = 1000;
/** A start waits so long for a disk that has to spin up. */
const OPEN_LIMIT_MS = 5000;

export class DiskCache implements BlockStore, BlockSink {
  readonly name = 'disk cache';
  readonly #directory: string;
  readonly #limitBytes: number;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #queue = new WriteQueue();
  /** Undefined while there is no cache to be had. */
  #open: CacheDisk | undefined;
  /** Set by a read that found the index damaged. */
  #spoilt: unknown;
  /** True where the disk holds up everybody: then it is not read either. */
  #aside = false;
  #quietUntilMs = 0;
  /** Of the directory that holds the cache's: where its disk was taken away, another one is there. */
  #parentInode: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #turns: DiskTurns;
  #refusal: string | undefined;
  #closed = false;
  /** Pinned blocks leave no room. */
  #full = false;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  /**
   * Opens or makes the cache, smaller at once where the bound has become so; without one where the disk refuses, or does not
   * answer: then it is opened when it does. @throws STATE_LOCKED
   */
  static async open(directory: string, options: DiskCacheOptions): Promise<DiskCache> {
    const cache = new DiskCache(directory, options);
    let refused: unknown;
    const starting = cache.#turns.take(() => {
      try {
        cache.#start();
      } catch (error) {
        refused = error;
      }
    });
    const { promise: silent, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      cache.#turns.fallSilent();
      resolve();
    }, OPEN_LIMIT_MS);
    await Promise.race([starting, silent]);
    clearTimeout(timer);
    if (refused) throw refused;
    return cache;
  }

  private constructor(directory: string, { limitBytes, logger, now = Date.now }: DiskCacheOptions) {
    this.#directory = directory;
    this.#limitBytes = limitBytes;
    this.#logger = logger;
    this.#now = now;
    this.#turns = new DiskTurns(directory, {
      onSilent: () =>
        this.#refuse(
          new Error('the disk does not answer'),
          'the disk cache cannot be written: going on without it until it can',
        ),
      onFailure: (error) => this.#fail(error),
    });
  }

  has(key: BlockKey): boolean {
    return this.#queue.has(key) || (this.#ask((disk) => disk.has(key)) ?? false);
  }

  get(key: BlockKey): MaybePromise<Uint8Array | undefined> {
    const waiting = this.#queue.get(key);
    return chain(waiting ?? this.#ask((disk) => disk.get(key)), (bytes) => this.#counted(key, bytes));
  }

  ends(key: BlockKey): BlockEnds | undefined {
    const ends = this.#queue.has(key) ? undefined : this.#ask((disk) => disk.ends(key));
    if (ends) this.#hit(key);
    return ends;
  }

  getRange(key: BlockKey, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    const waiting = this.#queue.get(key);
    if (waiting) return this.#counted(key, waiting.length >= end ? waiting.subarray(start, end) : undefined);
    return chain(
      this.#ask((disk) => disk.getRange(key, start, end, scratch)),
      (bytes) => this.#counted(key, bytes),
    );
  }

  expect(key: BlockKey, start: number, end: number): void {
    if (!this.#queue.has(key)) this.#ask((disk) => disk.expect(key, start, end));
  }

  admit(cid: CID, bytes: Uint8Array, priority?: Priority): void {
    if (this.#full || spaceOf(bytes.length) > this.#roomBytes) return;
    if (!this.#queue.add(blockKey(cid), bytes, { used: priority === 'demand', few: this.#failing })) return;
    this.#schedule(this.#failing ? RETRY_DELAY_MS : FLUSH_DELAY_MS);
  }

  /** Keeps blocks from eviction, whether they are here already or will be. */
  pin(keys: Iterable<BlockKey>): void {
    const pinned = [...keys];
    void this.#change(({ usage }) => usage.pin(pinned));
  }

  /** Resolves once it is so. */
  unpin(keys: Iterable<BlockKey>): Promise<void> {
    const unpinned = [...keys];
    this.#full = false;
    return this.#change(({ usage }) => usage.unpin(unpinned));
  }

  /** Deletes blocks, some in each turn; gives the bytes that became free. Pinned ones stay. */
  async evict(keys: readonly BlockKey[]): Promise<number> {
    // What still waits to be written would be forgotten uncounted.
    if (this.#queue.size > 0) await this.#write();
    let freedBytes = 0;
    this.#full = false;
    for (let from = 0; from < keys.length && !this.#closed; from += EVICTED_A_TURN) {
      const before = this.statistics().bytes;
      await this.#change(({ disk, usage }) => {
        for (const key of keys.slice(from, from + EVICTED_A_TURN)) {
          if (usage.isPinned(key)) continue;
          this.#queue.remove(key);
          disk.delete(key);
          usage.delete(key);
        }
      });
      freedBytes += before - this.statistics().bytes;
      await nextTurn();
    }
    await this.#change(({ disk }) => disk.shrink(this.#spareBytes), false);
    return freedBytes;
  }

  /** Bytes on their way to the disk; what comes while that is full is not kept. */
  get waitingBytes(): number {
    return this.#queue.bytes;
  }

  statistics(): DiskCacheStatistics {
    const { blocks, bytes } = this.#open?.disk.totals ?? { blocks: 0, bytes: 0 };
    return {
      blocks,
      bytes,
      limitBytes: this.#limitBytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }

  /** Why the disk takes nothing at present; undefined where it does, as far as it was tried. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** True while pinned blocks leave no room for any other. */
  get isFull(): boolean {
    return this.#full;
  }

  /** Writes what waits, where the disk takes it. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#turns.silent) return;
    do await this.#write();
    while (this.#queue.size > 0 && !this.#failing);
    this.#open?.disk.close();
    this.#open = undefined;
  }

  get #failing(): boolean {
    return this.#refusal !== undefined;
  }

  /** What blocks and index may take. */
  get #roomBytes(): number {
    return this.#limitBytes - Math.min(MAX_JOURNAL_BYTES, this.#limitBytes / 32) - this.#spareBytes;
  }

  get #spareBytes(): number {
    return Math.floor(this.#limitBytes * SPARE_SHARE);
  }

  #start(): void {
    const logger = this.#logger;
    try {
      const parent = statSync(dirname(this.#directory), { throwIfNoEntry: false })?.ino;
      if (this.#parentInode !== undefined && parent !== this.#parentInode) throw new Error('its disk is not there');
      this.#open = openCacheDisk(this.#directory, {
        logger,
        now: this.#now,
        patienceMs: PATIENCE_MS,
        onDamage: () =>
          logger.error({ directory: this.#directory }, 'a cached block is damaged on the disk: forgetting it'),
        onTrouble: (error) => this.#readFailed(error),
      });
      this.#parentInode ??= statSync(dirname(this.#directory)).ino;
      this.#makeRoom(0);
      this.#open.disk.commit();
      this.#worksAgain();
    } catch (error) {
      if (hasCode(error, 'STATE_LOCKED')) throw error;
      this.#fail(error);
    }
  }

  #counted(key: BlockKey, bytes: Uint8Array | undefined): Uint8Array | undefined {
    if (!bytes) {
      this.#misses++;
      return undefined;
    }
    this.#hit(key);
    return bytes;
  }

  #hit(key: BlockKey): void {
    this.#hits++;
    if (this.#open?.usage.touch(key)) this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#write().then(() => {
        if (this.#queue.size > 0) this.#schedule(this.#failing ? RETRY_DELAY_MS : 0);
      });
    }, delayMs).unref();
  }

  /** Never rejects. */
  #write(): Promise<void> {
    return this.#turns.take(() => this.#writeSome());
  }

  async #writeSome(): Promise<void> {
    if (this.#spoilt !== undefined) throw this.#spoilt;
    if (!this.#open) this.#start();
    const { disk, usage } = this.#open ?? {};
    if (!disk || !usage) return;
    if (!disk.isThere) throw new Error('its directory is gone');
    const { batch, spaceBytes } = this.#queue.next(this.#roomBytes / 4, (key) => !disk.has(key));
    timed(() => {
      disk.begin();
      usage.flush();
      this.#full = !this.#makeRoom(spaceBytes);
      disk.commit();
      disk.shrink(this.#spareBytes);
    }, fail);
    if (!this.#full) {
      await disk.putAll(batch);
      timed(() => {
        for (const [key, { bytes, used }] of batch) usage.add(key, bytes.length, used);
        disk.commit();
      }, fail);
    } else if (batch.size > 0) {
      this.#logger.warn(
        { directory: this.#directory },
        'the disk cache is full of pinned blocks: nothing else is cached',
      );
    }
    this.#queue.done(batch.keys());
    this.#worksAgain();
  }

  #worksAgain(): void {
    if (this.#failing) this.#logger.info({ directory: this.#directory }, 'the disk cache works again');
    this.#refusal = undefined;
    this.#aside = false;
  }

  /** What the open disk says, where it is to be asked; one that takes too long over it is not asked again for a while. */
  #ask<T>(question: (disk: BlockDisk) => T): T | undefined {
    const disk = this.#open?.disk;
    if (!disk || this.#aside) return undefined;
    return timed(
      () => question(disk),
      (error) => this.#setAside(error),
    );
  }

  #setAside(error: Error): void {
    this.#aside = true;
    this.#refuse(error, 'the disk cache is too slow: going on without it, and trying again every 30 s');
    this.#schedule(RETRY_DELAY_MS);
  }

  /** Drops what waits, and says why. */
  #refuse(error: unknown, message: string): void {
    this.#queue.clear();
    if (!this.#failing) this.#say(error, message);
    this.#refusal = messageChain(error);
  }

  /** Evicts until `bytes` more have room; false where only pinned blocks are left. */
  #makeRoom(bytes: number): boolean {
    const { disk, usage } = this.#open as CacheDisk;
    let excess = disk.spaceBytes + bytes - this.#roomBytes;
    while (excess > 0) {
      const victims = usage.victims(this.#limitBytes);
      if (victims.length === 0) return false;
      for (const { key, size } of victims) {
        disk.delete(key);
        usage.delete(key);
        this.#evictions++;
        excess -= spaceOf(size);
        if (excess <= 0) break;
      }
      // What was guessed of each is counted again: pages become free only as a whole.
      if (excess <= 0) excess = disk.spaceBytes + bytes - this.#roomBytes;
    }
    return true;
  }

  #change(work: (open: CacheDisk) => void, commits = true): Promise<void> {
    return this.#turns.take(() => {
      const open = this.#open;
      if (!open) return;
      if (commits) open.disk.begin();
      work(open);
      if (commits) open.disk.commit();
    });
  }

  /** In the middle of a read: what is to be done about it waits for the next turn. */
  #readFailed(error: unknown): void {
    if (isDamaged(error)) {
      this.#spoilt ??= error;
      this.#schedule(0);
      return;
    }
    const nowMs = performance.now();
    if (this.#failing || nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + RETRY_DELAY_MS;
    this.#say(error, 'the disk cache cannot be read: what is not read is fetched');
    this.#schedule(0);
  }

  /** A cache that is damaged or gone is begun anew; otherwise what waited is dropped, and what comes later tried again. */
  #fail(error: unknown): void {
    const open = this.#open;
    const damaged = isDamaged(error);
    this.#spoilt = undefined;
    try {
      if (open && (damaged || !open.disk.isThere)) {
        this.#open = undefined;
        open.disk.close();
        if (damaged) removeCache(this.#directory);
        this.#say(error, `the disk cache ${damaged ? 'is damaged' : 'was deleted'}: starting an empty one`);
        this.#schedule(0);
        return;
      }
      open?.disk.abandon();
      open?.usage.reload();
    } catch {
      // A disk that is gone can take nothing back; the next start sweeps.
    }
    this.#refuse(error, 'the disk cache cannot be written: going on without it, and trying again every 30 s');
  }

  #say(error: unknown, message: string): void {
    this.#logger.error({ directory: this.#directory, error: messageChain(error) }, message);
  }
}

function fail(error: Error): never {
  throw error;
}
