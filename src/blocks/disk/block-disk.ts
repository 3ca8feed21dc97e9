/**
 * Blocks on the disk: small ones as rows of a SQLite table, large ones as files of their own beside it, with the row as
 * their index. What the local store and the disk cache have in common; neither keeping nor evicting is decided here.
 *
 * What always holds:
 * - What comes out is what went in (`checked-reads.ts`). What was damaged is reported, and as if it had never been there. A disk
 *   that fails to answer is reported, and nothing is deleted.
 * - After `commit` a crash loses nothing; after a sync of the file system too, neither does a power cut (of a database
 *   that is not durable it may lose the latest commits). A torn file is found by its checksums.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { MaybePromise } from '../../base/maybe-promise.ts';
import type { Scratch } from '../../base/scratch.ts';
import type { BlockKey } from '../block.ts';
import type { BlockEnds } from '../block-store.ts';
import { openBlockDatabase } from './block-database.ts';
import { BlockDirectory } from './block-directory.ts';
import { unpackEnds } from './block-ends.ts';
import { BlockFiles } from './block-files.ts';
import { BlockRows } from './block-rows.ts';
import { CheckedReads } from './checked-reads.ts';
import { DamagedBlocks } from './damaged-blocks.ts';
import { DiskChanges, type SomeDeleted } from './disk-changes.ts';
import { DiskTotal, type DiskTotals } from './disk-total.ts';

export interface BlockDiskOptions {
  /** Commits survive a power cut, not only a crash. */
  readonly durable: boolean;
  /** A block was damaged, and is forgotten. */
  readonly onDamage: (key: BlockKey, sizeBytes: number) => void;
  /** How long a reader waits for a slow disk. */
  readonly patienceMs: number;
  /** The disk, or the database, could not be read. Called in the middle of a read: nothing may be closed. */
  readonly onTrouble: (error: unknown) => void;
}

export class BlockDisk {
  readonly #directory: BlockDirectory;
  readonly #database: DatabaseSync;
  readonly #files: BlockFiles;
  readonly #total: DiskTotal;
  readonly #changes: DiskChanges;
  readonly #damaged: DamagedBlocks;
  readonly #reads: CheckedReads;

  /** Opens or makes the directory (0700). @throws what `openBlockDatabase` does */
  constructor(path: string, { durable, patienceMs, onDamage, onTrouble }: BlockDiskOptions) {
    const database = openBlockDatabase(path, durable);
    const directory = new BlockDirectory(path);
    const rows = new BlockRows(database);
    const files = new BlockFiles(path, patienceMs);
    this.#directory = directory;
    this.#database = database;
    this.#files = files;
    this.#total = new DiskTotal(database);
    this.#changes = new DiskChanges(database, files, rows, this.#total);
    this.#damaged = new DamagedBlocks({ directory, rows, changes: this.#changes, onDamage, onTrouble });
    this.#reads = new CheckedReads({ directory, rows, files, damaged: this.#damaged, onTrouble });
    try {
      this.#changes.recover();
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** The database, for the tables of whoever keeps more than blocks in it. */
  get database(): DatabaseSync {
    return this.#database;
  }

  get totals(): DiskTotals {
    return { blocks: this.#total.blocks, bytes: this.#total.bytes };
  }

  /** The number of the next block: all that is put from now on has this one or a higher. */
  get nextId(): number {
    return this.#total.nextId;
  }

  /** What it all takes on the disk, the index included, in bytes. */
  get spaceBytes(): number {
    return this.#total.spaceBytes;
  }

  /** As `BlockDirectory.isThere`. */
  get isThere(): boolean {
    return this.#directory.isThere;
  }

  has(key: BlockKey): boolean {
    return this.#reads.has(key);
  }

  get(key: BlockKey): MaybePromise<Uint8Array | undefined> {
    const row = this.#reads.row(key);
    return row && this.#reads.read(key, row, 0, row.size);
  }

  /** Of a block that is there, without reading its file. */
  sizeOf(key: BlockKey): number | undefined {
    return this.#reads.row(key)?.size;
  }

  /** Undefined too where its bytes are in the row anyway, and for what an older program wrote. */
  ends(key: BlockKey): BlockEnds | undefined {
    const row = this.#reads.row(key);
    return row?.ends ? unpackEnds(key, row.size, row.ends) : undefined;
  }

  /** Bytes `start`..`end` will be read soon. */
  expect(key: BlockKey, start: number, end: number): void {
    this.#reads.expect(key, start, end);
  }

  getRange(key: BlockKey, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    const row = this.#reads.row(key);
    if (!row || row.size < end) return undefined;
    return start < end ? this.#reads.read(key, row, start, end, scratch) : new Uint8Array(0);
  }

  /**
   * False: until it is true again, commits survive a crash, and a power cut may take the latest of them, but never the order
   * of any. For what is synced at its end. To be set between commits.
   */
  set durable(durable: boolean) {
    this.#database.exec(`PRAGMA synchronous = ${durable ? 'FULL' : 'NORMAL'}`);
  }

  /** As `BlockDirectory.answers`. To be awaited before anything here is written in the thread that answers readers. */
  answers(written = false): Promise<void> {
    return this.#directory.answers(written);
  }

  /**
   * Keeps blocks that were verified and are not there, their files written in other threads. Needs a `commit`.
   * @throws the file system's error (ENOSPC, EROFS), or SQLite's; `abandon` must follow then.
   */
  async putAll(blocks: ReadonlyMap<BlockKey, { readonly bytes: Uint8Array }>): Promise<void> {
    for (const block of await this.#changes.writeFiles(blocks)) {
      this.#damaged.delete(block.key);
      this.#changes.insert(block);
    }
  }

  /**
   * Ends what was put and deleted since the last commit: a crash no longer undoes it.
   * @throws SQLite's error; then, and where an earlier error made SQLite take all of it back, `abandon` must follow.
   */
  commit(): void {
    this.#changes.commit();
  }

  /** Takes back what was put and deleted since the last commit. @throws SQLite's error, where the disk is gone */
  abandon(): void {
    this.#changes.abandon();
  }

  /** Begins what `commit` ends, where nothing has begun it: for statements of the caller's own. */
  begin(): void {
    this.#changes.begin();
  }

  /** Gives the size of what was there. Needs a `commit`. */
  delete(key: BlockKey): number | undefined {
    const row = this.#reads.row(key);
    if (row) this.#changes.delete(row, key);
    return row?.size;
  }

  /** As `DiskChanges.deleteSome`; without `condition`, all of them. */
  deleteSome(from: number, count: number, condition = 'TRUE'): SomeDeleted {
    return this.#changes.deleteSome(from, count, condition);
  }

  /** Some of the unused pages go back to the file system, all but `keepBytes` of them; true where more are left. */
  shrink(keepBytes = 0): boolean {
    return this.#total.shrink(keepBytes);
  }

  /** Moves SQLite's journal into the database and makes it empty. */
  checkpoint(): void {
    this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  /** Idempotent. */
  close(): void {
    if (!this.#database.isOpen) return;
    this.#files.close();
    try {
      this.begin();
      this.commit();
      this.#database.exec('UPDATE total SET closed = 1');
    } catch {
      // A disk that is full or gone: the next start sweeps.
    }
    this.#database.close();
  }
}
