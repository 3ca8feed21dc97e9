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
import { spaceOf } from '../blocks/disk/disk-total.ts';
import type { Priority } from '../blocks/priority.ts';
import type { CacheDisk } from './cache-disk.ts';
import { RETRY_DELAY_MS } from './cache-health.ts';
import { CacheRoom } from './cache-room.ts';
import { timed } from './disk-turns.ts';
import { GuardedDisk } from './guarded-disk.ts';
import { WritePace } from './write-pace.ts';
import { type QueuedBlock, WriteQueue } from './write-queue.ts';

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
/** Blocks come in bursts; one commit serves a burst, and of what a start fetches at 100 Mbit/s a megabyte. */
const FLUSH_DELAY_MS = 100;

export class DiskCache implements BlockStore, BlockSink {
  readonly name = 'disk cache';
  /** Told of each block that went: for another, on demand or by damage; and of each that was offered and is not kept after all. */
  onGone: (key: BlockKey, sizeBytes: number) => void = () => {};
  /** Told when it was begun anew, or opened later than the start: other blocks are here than were. */
  onOpened: () => void = () => {};
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #queue = new WriteQueue();
  readonly #pace = new WritePace();
  readonly #room: CacheRoom;
  readonly #disk: GuardedDisk;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = 0;
  #writing = false;
  #closed = false;
  /** Of those of `preferNew` that are over, some of what came for them waits. */
  #wantedWaiting = 0;
  /** Pinned blocks leave no room. */
  #full = false;
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
    this.#directory = directory;
    this.#logger = logger;
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
      onRefusal: () => this.#notKept(this.#queue.clear()),
      onTrouble: (delayMs) => this.#schedule(delayMs),
    });
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

  admit(cid: CID, bytes: Uint8Array, priority?: Priority): void {
    const key = blockKey(cid);
    const options = { used: priority === 'demand', few: this.#disk.health.isFailing };
    const isTaken = !this.#full && spaceOf(bytes.length) <= this.#room.bytes && this.#queue.add(key, bytes, options);
    if (!isTaken) this.#notKept([[key, bytes.length]]);
    // What comes while others are written follows those.
    else if (!this.#writing) this.#schedule(this.#writeDelayMs);
  }

  /** Keeps blocks from eviction, whether they are here already or will be. */
  pin(keys: Iterable<BlockKey>): void {
    const pinned = [...keys];
    void this.#disk.change(({ usage }) => usage.pin(pinned));
  }

  /** Resolves once it is so. */
  unpin(keys: Iterable<BlockKey>): Promise<void> {
    const unpinned = [...keys];
    return this.#disk.change(({ usage }) => usage.unpin(unpinned), this.#roomCame);
  }

  /** Deletes blocks, some in each turn; gives the bytes that became free. Pinned ones stay. */
  async evict(keys: readonly BlockKey[]): Promise<number> {
    // What still waits to be written would be forgotten uncounted.
    if (this.#queue.size > 0) await this.#write();
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
        this.#roomCame();
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
    this.#room.wanted++;
    return () => {
      this.#wantedWaiting++;
      this.#letGoWritten();
    };
  }

  /** What came for them is written, or went. */
  #letGoWritten(): void {
    if (this.#queue.size > 0) return;
    this.#room.wanted -= this.#wantedWaiting;
    this.#wantedWaiting = 0;
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
    return this.#full;
  }

  /** Writes what waits, where the disk takes it. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#disk.isSilent) return;
    do await this.#write();
    while (this.#queue.size > 0 && !this.#disk.health.isFailing);
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
    // Of one on its way there is no row to take note in.
    if (!this.#queue.use(key) && this.#disk.current?.usage.touch(key)) this.#schedule(0);
  }

  /** Not before it is so: a write that is due earlier would find none once more, and nobody would look again. */
  readonly #roomCame = (): void => {
    this.#full = false;
  };

  /** Whoever waits for them counts them first; and some may be here all the same. */
  #notKept(blocks: readonly (readonly [BlockKey, number])[]): void {
    if (blocks.length === 0) return;
    setImmediate(() => {
      for (const [key, sizeBytes] of blocks) if (!this.#closed && !this.has(key)) this.onGone(key, sizeBytes);
    });
  }

  get #writeDelayMs(): number {
    if (this.#disk.health.isFailing) return RETRY_DELAY_MS;
    return this.#queue.bytes < this.#pace.bytesPerTurn ? FLUSH_DELAY_MS : 0;
  }

  /** Has what waits written in `delayMs`, or earlier where that was said before. */
  #schedule(delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    if (this.#closed || (this.#timer && this.#timerDueMs <= dueMs)) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = true;
      void this.#write().then(() => {
        this.#writing = false;
        if (this.#queue.size > 0) this.#schedule(this.#writeDelayMs);
      });
    }, delayMs).unref();
  }

  /** Never rejects. */
  #write(): Promise<void> {
    return this.#disk.write((open) => this.#writeSome(open));
  }

  async #writeSome(open: CacheDisk): Promise<void> {
    const maxBytes = Math.min(this.#room.bytes / 4, this.#pace.bytesPerTurn);
    const { batch, spaceBytes } = this.#queue.next(maxBytes, (key) => !open.disk.has(key));
    let written = false;
    try {
      await this.#writeBatch(open, batch, spaceBytes);
      written = true;
    } finally {
      this.#queue.done(batch, written);
      this.#letGoWritten();
    }
  }

  async #writeBatch({ disk, usage }: CacheDisk, batch: ReadonlyMap<BlockKey, QueuedBlock>, spaceBytes: number) {
    const begunMs = performance.now();
    timed(() => {
      disk.begin();
      usage.flush();
      this.#full = !this.#room.make({ disk, usage }, spaceBytes);
      disk.commit();
      this.#room.committed();
      disk.shrink(this.#room.spareBytes);
    }, fail);
    if (!this.#full) {
      await disk.putAll(batch);
      timed(() => {
        for (const [key, { bytes, used }] of batch) usage.add(key, bytes.length, used);
        disk.commit();
      }, fail);
      this.#pace.wrote(spaceBytes, performance.now() - begunMs);
    } else if (batch.size > 0) {
      this.#logger.warn(
        { directory: this.#directory },
        'the disk cache is full of pinned blocks: nothing else is cached',
      );
      this.#notKept([...batch].map(([key, { bytes }]) => [key, bytes.length]));
    }
  }
}

function fail(error: Error): never {
  throw error;
}
