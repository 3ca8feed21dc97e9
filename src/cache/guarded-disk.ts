/**
 * The cache's disk, guarded: opened when it can be, asked while it answers, begun anew where it is damaged or gone, and left
 * alone while it hangs. Whoever uses it meets an answer, or none, and never an error.
 *
 *   ask, read   go to the table of blocks in the thread that answers readers, as long as the disk's pulse is felt
 *   write       one after the other, each once the disk has answered another thread, which may be never
 */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { diskAnswers } from '../base/disk-answers.ts';
import { hasCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { BlockKey } from '../blocks/block.ts';
import { isDamaged } from '../blocks/disk/block-database.ts';
import type { BlockDisk } from '../blocks/disk/block-disk.ts';
import { DiskPulse } from '../blocks/disk/disk-pulse.ts';
import { type CacheDisk, openCacheDisk, removeCache } from './cache-disk.ts';
import { CacheHealth, RETRY_DELAY_MS } from './cache-health.ts';
import { DiskTurns, timed } from './disk-turns.ts';

export interface GuardedDiskOptions {
  readonly logger: Logger;
  /** The time of day in ms. */
  readonly now: () => number;
  /** It was opened: what is to be done first. @throws the disk's error */
  readonly onOpen: (open: CacheDisk) => void;
  /** That is done, and committed. */
  readonly onOpened: () => void;
  /** A block of so many bytes is damaged, and there no more. */
  readonly onDamage: (key: BlockKey, sizeBytes: number) => void;
  /** It takes nothing: what waits to be written is to be dropped. */
  readonly onRefusal: () => void;
  /** Something is to be done about it: a `write` is due in so many ms. */
  readonly onTrouble: (delayMs: number) => void;
}

/** The block can be fetched: a source that is asked twice costs less than a reader who waits longer. */
const PATIENCE_MS = 1000;
const CANNOT_WRITE = 'the disk cache cannot be written: going on without it, and trying again every 30 s';
/** A start waits so long for a disk that has to spin up. */
const OPEN_LIMIT_MS = 5000;

export class GuardedDisk {
  readonly health: CacheHealth;
  readonly #directory: string;
  readonly #options: GuardedDiskOptions;
  readonly #pulse: DiskPulse;
  readonly #turns: DiskTurns;
  /** Undefined while there is no cache to be had. */
  #open: CacheDisk | undefined;
  /** Of the directory that holds the cache's: where its disk was taken away, another one is there. */
  #parentInode: number | undefined;
  #unanswered = 0;

  constructor(directory: string, options: GuardedDiskOptions) {
    this.#directory = directory;
    this.#options = options;
    this.health = new CacheHealth(directory, options.logger);
    this.#pulse = new DiskPulse(directory);
    this.#turns = new DiskTurns({
      answers: () => diskAnswers(directory),
      onSilent: () =>
        this.#refuse(
          new Error('the disk does not answer'),
          'the disk cache cannot be written: going on without it until it can',
        ),
      onFailure: (error) => this.#fail(error),
    });
  }

  /** Opens or makes it, where the disk answers in time; otherwise when it does. @throws STATE_LOCKED, in that time */
  async open(): Promise<void> {
    let refused: unknown;
    let isLate = false;
    const starting = this.#turns.take(() => {
      try {
        this.#start();
      } catch (error) {
        // Nobody waits for it any more: it is trouble like any other, and said, since what was said was a silence.
        if (isLate) this.health.say(error, CANNOT_WRITE);
        if (isLate) throw error;
        refused = error;
      }
    });
    const { promise: silent, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#turns.fallSilent();
      resolve();
    }, OPEN_LIMIT_MS);
    await Promise.race([starting, silent]);
    isLate = true;
    clearTimeout(timer);
    if (refused) throw refused;
  }

  /** Undefined while there is none. To be asked by `ask` and `read`, but for what is in memory. */
  get current(): CacheDisk | undefined {
    return this.#open;
  }

  /** How often it was asked and could not answer. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** What it says now, where it is to be asked; one that takes too long over it is not asked again for a while. */
  ask<T>(question: (disk: BlockDisk) => T): T | undefined {
    const disk = this.#open?.disk;
    if (!disk || this.health.isAside || this.#pulse.isLate) {
      this.#unanswered++;
      return undefined;
    }
    return timed(
      () => question(disk),
      (error) => {
        this.#options.onRefusal();
        this.health.setAside(error);
        this.#options.onTrouble(RETRY_DELAY_MS);
      },
    );
  }

  /** What it says once it has answered another thread, in this turn where it has just done so; undefined where it does not. */
  read(
    question: (disk: BlockDisk, isThisTurn: boolean) => MaybePromise<Uint8Array | undefined>,
  ): MaybePromise<Uint8Array | undefined> {
    if (!this.#open || this.health.isAside) return undefined;
    return this.#pulse.whenFelt(PATIENCE_MS, {
      ask: (isThisTurn) => this.ask((disk) => question(disk, isThisTurn)),
      onSilence: (error) => this.#readFailed(error),
    });
  }

  /** `work`, in a turn of its own, with the disk open: where it can be. Never rejects; what `work` throws is dealt with. */
  write(work: (open: CacheDisk) => void | Promise<void>): Promise<void> {
    return this.#turns.take(async () => {
      if (this.health.spoilt !== undefined) throw this.health.spoilt;
      if (!this.#open) this.#start();
      const open = this.#open;
      if (!open) return;
      if (!open.disk.isThere) throw new Error('its directory is gone');
      await work(open);
      this.health.worksAgain();
    });
  }

  /** As `write`, where it is open at all; what `work` changes is committed, and then `committed` called. */
  change(work: (open: CacheDisk) => void, committed: () => void = () => {}): Promise<void> {
    return this.#turns.take(() => {
      const open = this.#open;
      if (!open) return;
      open.disk.begin();
      work(open);
      open.disk.commit();
      committed();
    });
  }

  /** True while it does not answer: then nothing can be closed either. */
  get isSilent(): boolean {
    return this.#turns.silent;
  }

  /** After the last write. */
  close(): void {
    this.#open?.disk.close();
    this.#open = undefined;
  }

  #start(): void {
    const { logger, now, onOpen, onOpened, onDamage } = this.#options;
    try {
      const parent = statSync(dirname(this.#directory), { throwIfNoEntry: false })?.ino;
      if (this.#parentInode !== undefined && parent !== this.#parentInode) throw new Error('its disk is not there');
      this.#open = openCacheDisk(this.#directory, {
        logger,
        now,
        patienceMs: PATIENCE_MS,
        onDamage: (key, sizeBytes) => {
          logger.error({ directory: this.#directory }, 'a cached block is damaged on the disk: forgetting it');
          onDamage(key, sizeBytes);
        },
        onTrouble: (error) => this.#readFailed(error),
      });
      this.#parentInode ??= statSync(dirname(this.#directory)).ino;
      onOpen(this.#open);
      this.#open.disk.commit();
      onOpened();
      this.health.worksAgain();
    } catch (error) {
      if (hasCode(error, 'STATE_LOCKED')) throw error;
      this.#fail(error);
    }
  }

  /** Drops what waits, and says why. */
  #refuse(error: unknown, message: string): void {
    this.#options.onRefusal();
    this.health.refuse(error, message);
  }

  /** In the middle of a read: what is to be done about it waits for the next turn. */
  #readFailed(error: unknown): void {
    if (isDamaged(error)) this.health.spoilt ??= error;
    else if (!this.health.readFailed(error)) return;
    this.#options.onTrouble(0);
  }

  /** A cache that is damaged or gone is begun anew; otherwise what waited is dropped, and what comes later tried again. */
  #fail(error: unknown): void {
    const open = this.#open;
    const damaged = isDamaged(error);
    this.health.spoilt = undefined;
    try {
      if (open && (damaged || !open.disk.isThere)) {
        this.#open = undefined;
        open.disk.close();
        if (damaged) removeCache(this.#directory);
        this.health.say(error, `the disk cache ${damaged ? 'is damaged' : 'was deleted'}: starting an empty one`);
        this.#options.onTrouble(0);
        return;
      }
      open?.disk.abandon();
      open?.usage.reload();
    } catch {
      // A disk that is gone can take nothing back; the next start sweeps.
    }
    this.#refuse(error, CANNOT_WRITE);
  }
}
