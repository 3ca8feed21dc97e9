/**
 * Blocks on the disk: small ones as rows of a SQLite table, large ones as files of their own beside it, with the row as
 * their index. What the local store and the disk cache have in common; neither keeping nor evicting is decided here.
 *
 * What always holds:
 * - What comes out is what went in: every page is checked against its checksum. Damage is reported, and the answer is as if
 *   the block had never been there; it is deleted as soon as the disk has answered another thread, since a disk that
 *   damages blocks may as well hang. A disk that fails to answer is reported and nothing is deleted.
 * - A row is there only once its file is whole, and a file as long as a row may name it (`disk-changes.ts`).
 * - After `commit` a crash loses nothing; after a sync of the file system too, neither does a power cut (of a database
 *   that is not durable it may lose the latest commits). A torn file is found by its checksums.
 */
import { statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { DatabaseSync } from 'node:sqlite';
import { diskAnswers } from '../../base/disk-answers.ts';
import type { MaybePromise } from '../../base/maybe-promise.ts';
import type { Scratch } from '../../base/scratch.ts';
import type { BlockKey } from '../block.ts';
import type { BlockEnds } from '../block-store.ts';
import { databasePath, openBlockDatabase } from './block-database.ts';
import { unpackEnds } from './block-ends.ts';
import { BlockFiles } from './block-files.ts';
import { BlockRows, INLINE_BYTES, type Row } from './block-rows.ts';
import { DiskChanges } from './disk-changes.ts';
import { DiskTotal } from './disk-total.ts';
import { PAGE_BYTES, pagesMatch } from './page-checksums.ts';

export interface DiskTotals {
  readonly blocks: number;
  readonly bytes: number;
}

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
  readonly #directory: string;
  readonly #options: BlockDiskOptions;
  readonly #database: DatabaseSync;
  readonly #files: BlockFiles;
  readonly #inode: number;
  readonly #rows: BlockRows;
  readonly #total: DiskTotal;
  readonly #changes: DiskChanges;
  /** Found damaged, and not deleted yet. */
  readonly #damagedRows = new Map<BlockKey, Row>();
  /** Calls of `putAll` whose files are being written. */
  #putting = 0;

  /** Opens or makes the directory (0700). @throws what `openBlockDatabase` does */
  constructor(directory: string, options: BlockDiskOptions) {
    this.#directory = directory;
    this.#options = options;
    const database = openBlockDatabase(directory, options.durable);
    this.#database = database;
    this.#files = new BlockFiles(directory, options.patienceMs);
    this.#inode = statSync(databasePath(directory)).ino;
    this.#rows = new BlockRows(database);
    this.#total = new DiskTotal(database);
    this.#changes = new DiskChanges(database, this.#files, this.#total);
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

  /** False once the directory was deleted, or replaced, under us: what is written from now on is lost. */
  get isThere(): boolean {
    try {
      return statSync(databasePath(this.#directory)).ino === this.#inode;
    } catch {
      return false;
    }
  }

  has(key: BlockKey): boolean {
    return !this.#damagedRows.has(key) && (this.#attempt(() => this.#rows.has(key)) ?? false);
  }

  get(key: BlockKey): MaybePromise<Uint8Array | undefined> {
    const row = this.#row(key);
    return row && this.#read(key, row, 0, row.size);
  }

  /** Of a block that is there, without reading its file. */
  sizeOf(key: BlockKey): number | undefined {
    return this.#row(key)?.size;
  }

  /** Undefined too where its bytes are in the row anyway, and for what an older program wrote. */
  ends(key: BlockKey): BlockEnds | undefined {
    const row = this.#row(key);
    return row?.ends ? unpackEnds(key, row.size, row.ends) : undefined;
  }

  /** Bytes `start`..`end` will be read soon. */
  expect(key: BlockKey, start: number, end: number): void {
    const row = this.#damagedRows.has(key) ? undefined : this.#attempt(() => this.#rows.findLarge(key));
    if (!row) return;
    const { from, to } = pagesAround(row, start, Math.min(end, row.size));
    this.#files.expect(row.id, from, to);
  }

  getRange(key: BlockKey, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    const row = this.#row(key);
    if (!row || row.size < end) return undefined;
    return start < end ? this.#read(key, row, start, end, scratch) : new Uint8Array(0);
  }

  /**
   * False: until it is true again, commits survive a crash, and a power cut may take the latest of them, but never the order
   * of any. For what is synced at its end. To be set between commits.
   */
  set durable(durable: boolean) {
    this.#database.exec(`PRAGMA synchronous = ${durable ? 'FULL' : 'NORMAL'}`);
  }

  /**
   * Resolves once the disk has answered, which may be never. With `written`, once all that was committed is on it: then the
   * next commits find it idle. To be awaited before anything here is written in the thread that answers readers.
   */
  async answers(written = false): Promise<void> {
    await diskAnswers(this.#directory);
    if (!written) return;
    try {
      await using journal = await open(`${databasePath(this.#directory)}-wal`, 'r');
      await journal.datasync();
    } catch {
      // An answer too: the commit that follows is told.
    }
  }

  /**
   * Keeps blocks that were verified and are not there, their files written in other threads. Needs a `commit`.
   * @throws the file system's error (ENOSPC, EROFS), or SQLite's; `abandon` must follow then.
   */
  async putAll(blocks: ReadonlyMap<BlockKey, { readonly bytes: Uint8Array }>): Promise<void> {
    const numbered = [...blocks].map(([key, { bytes }]) => ({ id: this.#total.takeId(), key, bytes }));
    const large = numbered.filter(({ bytes }) => bytes.length > INLINE_BYTES);
    this.#putting++;
    // Whatever fails, all of them end first: none may write after its number was given up.
    const outcomes = await Promise.allSettled(large.map(({ id, bytes }) => this.#files.write(id, bytes)));
    this.#putting--;
    for (const { id } of large) this.#changes.wrote(id);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    for (const { id, key, bytes } of numbered) this.#insertRow(id, key, bytes);
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
    this.#rows.forget();
    this.#changes.abandon();
  }

  /** Begins what `commit` ends, where nothing has begun it: for statements of the caller's own. */
  begin(): void {
    this.#changes.begin();
  }

  /** Gives the size of what was there. Needs a `commit`. */
  delete(key: BlockKey): number | undefined {
    const row = this.#row(key);
    if (row) this.#deleteRow(row.id, row.size, row.data === null, key);
    return row?.size;
  }

  /**
   * Of the first `count` blocks from number `from` on, deletes, and commits, those for which an SQL condition on the table
   * `block` holds. `next` is the number to go on from; undefined where these were all.
   */
  deleteSome(from: number, count: number, condition = 'TRUE'): DiskTotals & { readonly next: number | undefined } {
    const beyond = this.#database.prepare('SELECT id FROM block WHERE id >= ? ORDER BY id LIMIT 1 OFFSET ?');
    const next = (beyond.get(from, count) as { id: number } | undefined)?.id;
    const doomed = this.#database.prepare(
      `SELECT id, size, data IS NULL AS large FROM block WHERE id >= ? AND id < ? AND (${condition})`,
    );
    const rows = doomed.all(from, next ?? this.nextId) as { id: number; size: number; large: number }[];
    let bytes = 0;
    for (const { id, size, large } of rows) {
      this.#deleteRow(id, size, large === 1);
      bytes += size;
    }
    this.commit();
    return { blocks: rows.length, bytes, next };
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

  #insertRow(id: number, key: BlockKey, bytes: Uint8Array): void {
    this.begin();
    this.#deleteDamaged(key);
    this.#rows.insert(id, key, bytes);
    this.#total.count(bytes.length, 1);
  }

  #row(key: BlockKey): Row | undefined {
    return this.#damagedRows.has(key) ? undefined : this.#attempt(() => this.#rows.find(key));
  }

  #read(key: BlockKey, row: Row, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    const { from, to } = pagesAround(row, start, end);
    const checked = (bytes: Uint8Array): Uint8Array | undefined => {
      if (bytes.length === to - from && pagesMatch(key, bytes, from / PAGE_BYTES, row.checksums)) {
        return bytes.subarray(start - from, end - from);
      }
      return this.#damaged(key, row);
    };
    const failed = (error: unknown): undefined => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && this.isThere) {
        // It may have been deleted while the read waited for its turn.
        return this.#attempt(() => this.#rows.find(key))?.id === row.id ? this.#damaged(key, row) : undefined;
      }
      this.#options.onTrouble(error);
      return undefined;
    };
    try {
      const bytes = row.data ? row.data.subarray(from, to) : this.#files.read(row.id, from, to, scratch);
      return bytes instanceof Promise ? bytes.then(checked).catch(failed) : checked(bytes);
    } catch (error) {
      return failed(error);
    }
  }

  /** A disk that cannot be written to leaves the row: the next start finds it again. */
  #damaged(key: BlockKey, row: Row): undefined {
    if (this.#damagedRows.has(key)) return;
    this.#damagedRows.set(key, row);
    this.#options.onDamage(key, row.size);
    void this.answers().then(() => {
      if (!this.#database.isOpen) return;
      this.#attempt(() => {
        // Where files are being written, a commit now would give their numbers out as settled: the next start would not sweep them.
        const alone = !this.#changes.areBegun && this.#putting === 0;
        this.#deleteDamaged(key);
        if (alone) this.commit();
      });
    });
  }

  #deleteDamaged(key: BlockKey): void {
    const row = this.#damagedRows.get(key);
    if (!row) return;
    // Read in another thread, it may have been deleted meanwhile.
    if (this.#rows.find(key)?.id === row.id) this.#deleteRow(row.id, row.size, row.data === null, key);
    this.#damagedRows.delete(key);
  }

  #deleteRow(id: number, size: number, large: boolean, key?: BlockKey): void {
    this.begin();
    this.#rows.delete(id, key);
    if (large) this.#changes.doom(id);
    this.#total.count(size, -1);
  }

  #attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#options.onTrouble(error);
      return undefined;
    }
  }
}

/** The checked pages that hold bytes `start`..`end` of a block. */
function pagesAround({ size }: Row, start: number, end: number): { readonly from: number; readonly to: number } {
  return {
    from: Math.floor(start / PAGE_BYTES) * PAGE_BYTES,
    to: Math.min(size, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES),
  };
}
