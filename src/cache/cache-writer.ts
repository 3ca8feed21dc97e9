/**
 * What the cache takes on its way to the disk: how much may wait, when it is written, and what becomes of what is not kept.
 *
 * What always holds:
 * - `add` returns at once. Blocks are written between other work, a burst in one commit; what waits is bounded.
 * - Room is made before anything is written (`CacheRoom`). Where pinned blocks leave none, nothing more is taken until some comes.
 * - Each block that was offered and is not kept after all is told of, in a later turn.
 */
import type { Logger } from '../base/log.ts';
import type { BlockKey } from '../blocks/block.ts';
import { spaceOf } from '../blocks/disk/disk-total.ts';
import type { CacheDisk } from './cache-disk.ts';
import { RETRY_DELAY_MS } from './cache-health.ts';
import type { CacheRoom } from './cache-room.ts';
import { timed } from './disk-turns.ts';
import type { GuardedDisk } from './guarded-disk.ts';
import { WritePace } from './write-pace.ts';
import { type QueuedBlock, WriteQueue } from './write-queue.ts';

export interface CacheWriterOptions {
  readonly directory: string;
  readonly logger: Logger;
  readonly room: CacheRoom;
  readonly disk: GuardedDisk;
  /** Of blocks that were offered: they are not kept, unless they are here all the same. */
  readonly notKept: (blocks: readonly (readonly [BlockKey, number])[]) => void;
}

/** Blocks come in bursts; one commit serves a burst, and of what a start fetches at 100 Mbit/s a megabyte. */
const FLUSH_DELAY_MS = 100;

export class CacheWriter {
  /** What waits, readable meanwhile. */
  readonly queue = new WriteQueue();
  readonly #options: CacheWriterOptions;
  readonly #pace = new WritePace();
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = 0;
  #writing = false;
  #closed = false;
  /** Of those of `preferNew` that are over, some of what came for them waits. */
  #wantedWaiting = 0;
  /** Pinned blocks leave no room. */
  #full = false;

  constructor(options: CacheWriterOptions) {
    this.#options = options;
  }

  /** True while pinned blocks leave no room for any other. */
  get isFull(): boolean {
    return this.#full;
  }

  /** Takes a block; `used` where a reader waited for it. */
  add(key: BlockKey, bytes: Uint8Array, used: boolean): void {
    const { room, notKept } = this.#options;
    const options = { used, few: this.#health.isFailing };
    const isTaken = !this.#full && spaceOf(bytes.length) <= room.bytes && this.queue.add(key, bytes, options);
    if (!isTaken) notKept([[key, bytes.length]]);
    // What comes while others are written follows those.
    else if (!this.#writing) this.schedule(this.#writeDelayMs);
  }

  /** What waits is dropped. */
  drop(): void {
    this.#options.notKept(this.queue.clear());
  }

  /** To be called once there is room again: a write that is due before would find none once more, and nobody would look again. */
  readonly roomCame = (): void => {
    this.#full = false;
  };

  /** As `DiskCache.preferNew`. */
  preferNew(): () => void {
    this.#options.room.wanted++;
    return () => {
      this.#wantedWaiting++;
      this.#letGoWritten();
    };
  }

  /** Has what waits written in `delayMs`, or earlier where that was said before. */
  schedule(delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    if (this.#closed || (this.#timer && this.#timerDueMs <= dueMs)) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = true;
      void this.write().then(() => {
        this.#writing = false;
        if (this.queue.size > 0) this.schedule(this.#writeDelayMs);
      });
    }, delayMs).unref();
  }

  /** Writes some of it, in a turn of its own. Never rejects. */
  write(): Promise<void> {
    return this.#options.disk.write((open) => this.#writeSome(open));
  }

  /** Writes all of it, where the disk takes it. */
  async writeAll(): Promise<void> {
    do await this.write();
    while (this.queue.size > 0 && !this.#health.isFailing);
  }

  /** Nothing is scheduled any more. */
  stop(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  get #health() {
    return this.#options.disk.health;
  }

  get #writeDelayMs(): number {
    if (this.#health.isFailing) return RETRY_DELAY_MS;
    return this.queue.bytes < this.#pace.bytesPerTurn ? FLUSH_DELAY_MS : 0;
  }

  /** What came for those who want it before others is written, or went. */
  #letGoWritten(): void {
    if (this.queue.size > 0) return;
    this.#options.room.wanted -= this.#wantedWaiting;
    this.#wantedWaiting = 0;
  }

  async #writeSome(open: CacheDisk): Promise<void> {
    const maxBytes = Math.min(this.#options.room.bytes / 4, this.#pace.bytesPerTurn);
    const { batch, spaceBytes } = this.queue.next(maxBytes, (key) => !open.disk.has(key));
    let written = false;
    try {
      await this.#writeBatch(open, batch, spaceBytes);
      written = true;
    } finally {
      this.queue.done(batch, written);
      this.#letGoWritten();
    }
  }

  async #writeBatch({ disk, usage }: CacheDisk, batch: ReadonlyMap<BlockKey, QueuedBlock>, spaceBytes: number) {
    const { room, directory, logger, notKept } = this.#options;
    const begunMs = performance.now();
    timed(() => {
      disk.begin();
      usage.flush();
      this.#full = !room.make({ disk, usage }, spaceBytes);
      disk.commit();
      room.committed();
      disk.shrink(room.spareBytes);
    }, fail);
    if (!this.#full) {
      await disk.putAll(batch);
      timed(() => {
        for (const [key, { bytes, used }] of batch) usage.add(key, bytes.length, used);
        disk.commit();
      }, fail);
      this.#pace.wrote(spaceBytes, performance.now() - begunMs);
    } else if (batch.size > 0) {
      logger.warn({ directory }, 'the disk cache is full of pinned blocks: nothing else is cached');
      notKept([...batch].map(([key, { bytes }]) => [key, bytes.length]));
    }
  }
}

function fail(error: Error): never {
  throw error;
}
