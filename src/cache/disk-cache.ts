/**
 * The disk cache: blocks that sources sent, bounded, shared by all volumes, there again after a restart. Which of them go
 * is decided in `cache-usage.ts`.
 *
 * What always holds:
 * - What it takes on the disk stays below its bound, also while it writes (`cache-room.ts`). Where pinned blocks fill it,
 *   what comes is not kept.
 * - `admit` returns at once. Blocks are written between other work; what waits is bounded, and beyond it not kept.
 * - Trouble with the disk costs the caching, never a read (`guarded-disk.ts`): it is said once, and tried again after a
 *   while. Damage costs the block, or where it is the index that is damaged, what is cached. A disk that is slow, or does not
 *   answer, is as if nothing were cached.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import type { Logger } from '../base/log.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockEnds, BlockSink, BlockStore } from '../blocks/block-store.ts';
import type { Priority } from '../blocks/priority.ts';
import type { CacheDisk } from './cache-disk.ts';
import { CacheRoom } from './cache-room.ts';
import { CacheWriter } from './cache-writer.ts';
import { GuardedDisk } from './guarded-disk.ts';
import type { WriteQueue } from './write-queue.ts';

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

/** Blocks evicted on demand in one turn: some ten milliseconds where each is a file. */
const EVICTED_A_TURN = 256;

export class DiskCache implements BlockStore, BlockSink {
  readonly name = 'disk cache';
  /** Told of each block that went: for another, on demand or by damage; and of each that was offered and is not kept after all. */
  onGone: (key: BlockKey, sizeBytes: number) => void = () => {};
  /** Told when it was begun anew, or opened later than the start: other blocks are here than were. */
  onOpened: () => void = () => {};
  readonly #writer: CacheWriter;
  readonly #queue: WriteQueue;
  readonly #room: CacheRoom;
  readonly #disk: GuardedDisk;
  #closed = false;
  #hits = 0;
  #misses = 0;

  /**
   * Opens or makes the cache, smaller at once where the bound has become so; without one where the disk refuses, or does not
   * answer: then it is opened when it does. @throws STATE_LOCKED
   */
  static async open(directory: string, options: DiskCacheOptions): Promise<DiskCache> {
    const cache = new DiskCache(directory, options);
    await cache.#disk.open();
    return cache;
  }

  private constructor(directory: string, { limitBytes, logger, now = Date.now }: DiskCacheOptions) {
    this.#room = new CacheRoom(limitBytes, (key, sizeBytes) => this.onGone(key, sizeBytes));
    this.#disk = new GuardedDisk(directory, {
      logger,
      now,
      onOpen: (open) => this.#room.make(open, 0),
      onOpened: () => {
        this.#room.committed();
        this.onOpened();
      },
      onDamage: (key, sizeBytes) => this.#notKept([[key, sizeBytes]]),
      onRefusal: () => this.#writer.drop(),
      onTrouble: (delayMs) => this.#writer.schedule(delayMs),
    });
    this.#writer = new CacheWriter({
      directory,
      logger,
      room: this.#room,
      disk: this.#disk,
      notKept: (blocks) => this.#notKept(blocks),
    });
    this.#queue = this.#writer.queue;
  }

  has(key: BlockKey): boolean {
    return this.#queue.has(key) || (this.#disk.ask((disk) => disk.has(key)) ?? false);
  }

  get(key: BlockKey): MaybePromise<Uint8Array | undefined> {
    const waiting = this.#queue.get(key);
    if (waiting) return this.#counted(key, waiting);
    return chain(
      this.#disk.read((disk) => disk.get(key)),
      (bytes) => this.#counted(key, bytes ?? this.#queue.get(key)),
    );
  }

  ends(key: BlockKey): BlockEnds | undefined {
    const ends = this.#queue.has(key) ? undefined : this.#disk.ask((disk) => disk.ends(key));
    if (ends) this.#hit(key);
    return ends;
  }

  getRange(key: BlockKey, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    if (this.#queue.has(key)) return this.#counted(key, this.#queue.getRange(key, start, end));
    return chain(
      this.#disk.read((disk, isThisTurn) => disk.getRange(key, start, end, isThisTurn ? scratch : undefined)),
      // It may have come while the disk was asked.
      (bytes) => this.#counted(key, bytes ?? this.#queue.getRange(key, start, end)),
    );
  }

  expect(key: BlockKey, start: number, end: number): void {
    if (!this.#queue.has(key)) this.#disk.ask((disk) => disk.expect(key, start, end));
  }

  used(key: BlockKey): void {
    // Of one on its way there is no row to take note in.
    if (!this.#queue.use(key) && this.#disk.current?.usage.touch(key)) this.#writer.schedule(0);
  }

  admit(cid: CID, bytes: Uint8Array, priority?: Priority): void {
    this.#writer.add(blockKey(cid), bytes, priority === 'demand');
  }

  /** Keeps blocks from eviction, whether they are here already or will be. */
  pin(keys: Iterable<BlockKey>): void {
    const pinned = [...keys];
    void this.#disk.change(({ usage }) => usage.pin(pinned));
  }

  /** Until what it gives is called, that block goes last of what may go, and counts as used then. */
  hold(key: BlockKey): () => void {
    const letGo = this.#room.hold(key);
    return () => {
      letGo();
      this.used(key);
    };
  }

  /** Resolves once it is so. */
  unpin(keys: Iterable<BlockKey>): Promise<void> {
    const unpinned = [...keys];
    return this.#disk.change(({ usage }) => usage.unpin(unpinned), this.#writer.roomCame);
  }

  /** Deletes blocks, some in each turn; gives the bytes that became free. Pinned ones stay. */
  async evict(keys: readonly BlockKey[]): Promise<number> {
    // What still waits to be written would be forgotten uncounted.
    if (this.#queue.size > 0) await this.#writer.write();
    let freedBytes = 0;
    for (let from = 0; from < keys.length && !this.#closed; from += EVICTED_A_TURN) {
      const gone: [BlockKey, number][] = [];
      const evictSome = ({ disk, usage }: CacheDisk) => {
        for (const key of keys.slice(from, from + EVICTED_A_TURN)) {
          if (usage.isPinned(key)) continue;
          this.#queue.remove(key);
          const sizeBytes = disk.delete(key);
          if (sizeBytes !== undefined) gone.push([key, sizeBytes]);
          usage.delete(key);
        }
      };
      await this.#disk.change(evictSome, () => {
        for (const [key, sizeBytes] of gone) {
          freedBytes += sizeBytes;
          this.onGone(key, sizeBytes);
        }
        this.#writer.roomCame();
      });
      await nextTurn();
    }
    await this.#disk.write(({ disk }) => void disk.shrink(this.#room.spareBytes));
    return freedBytes;
  }

  /** Bytes on their way to the disk; what comes while that is full is not kept. */
  get waitingBytes(): number {
    return this.#queue.bytes;
  }

  /** What blocks and index may take of the bound: the rest is for SQLite's journal, and pages that are kept. */
  get roomBytes(): number {
    return this.#room.bytes;
  }

  /** The room that pinned blocks take, as the bound counts it. */
  get pinnedBytes(): number {
    return this.#disk.current?.usage.pinnedBytes ?? 0;
  }

  /**
   * Until what it gives is called, new blocks are kept before whatever was used longer ago, however often: for who wants all of
   * something, which would push itself out before what is used again and again. To be called once.
   */
  preferNew(): () => void {
    return this.#writer.preferNew();
  }

  /** What may come before anything is evicted for it; below 0 where what waits has no room. */
  get freeBytes(): number {
    return this.#room.bytes - (this.#disk.current?.disk.spaceBytes ?? 0) - this.#queue.bytes;
  }

  /** What new blocks push out before each other; what was used again stays. */
  get newcomersBytes(): number {
    return this.#disk.current?.usage.newcomersBytes(this.#room.limitBytes) ?? 0;
  }

  statistics(): DiskCacheStatistics {
    const { blocks, bytes } = this.#disk.current?.disk.totals ?? { blocks: 0, bytes: 0 };
    return {
      blocks,
      bytes,
      limitBytes: this.#room.limitBytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#room.evictions,
    };
  }

  /** How often it was asked and could not answer, so that it seemed to have nothing. */
  get unanswered(): number {
    return this.#disk.unanswered;
  }

  /** Why the disk takes nothing at present; undefined where it does, as far as it was tried. */
  get refusal(): string | undefined {
    return this.#disk.health.refusal;
  }

  /** True while pinned blocks leave no room for any other. */
  get isFull(): boolean {
    return this.#writer.isFull;
  }

  /** Writes what waits, where the disk takes it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#writer.stop();
    if (this.#disk.isSilent) return;
    await this.#writer.writeAll();
    this.#disk.close();
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
    this.used(key);
  }

  /** Whoever waits for them counts them first; and some may be here all the same. */
  #notKept(blocks: readonly (readonly [BlockKey, number])[]): void {
    if (blocks.length === 0) return;
    setImmediate(() => {
      for (const [key, sizeBytes] of blocks) if (!this.#closed && !this.has(key)) this.onGone(key, sizeBytes);
    });
  }
}
