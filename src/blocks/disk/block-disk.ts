/**
 * Blocks on the disk: small ones as rows of a SQLite table, large ones as files of their own beside it, with the row as
 * their index. What the local store and the disk cache have in common; neither keeping nor evicting is decided here.
 *
 * What always holds:
 * - What comes out is what went in: every page is checked against its checksum. Damage is reported, the block deleted,
 *   and the answer is as if it had never been there.
 * - A row is there only once its file is whole; a file without a row (a crash between the two) is swept at the next start.
 * - After `sync` returns, what was put before survives a power cut. Without it, a torn file is found by its checksums.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { LRUCache } from 'lru-cache';
import type { Logger } from '../../base/log.ts';
import type { BlockKey } from '../block.ts';
import { PAGE_BYTES, pageChecksums, pagesMatch } from './page-checksums.ts';

/** Up to here a row is read faster than a file is opened; SQLite's own measurements put the border near it too. */
const INLINE_BYTES = 32 * 1024;
/** Open files of large blocks: one is read in eight pieces of 128 KiB, by several readers at once. */
const OPEN_FILES = 256;
/** Rows of large blocks, so that each of those pieces does not ask SQLite. */
const KNOWN_ROWS = 4096;
/** Directories for the files: a million blocks make a few thousand names in each. */
const FANOUT = 256;

interface Row {
  readonly id: number;
  readonly size: number;
  readonly checksums: Uint8Array;
  readonly data: Uint8Array | null;
}

export interface DiskTotals {
  readonly blocks: number;
  readonly bytes: number;
}

export class BlockDisk {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #database: DatabaseSync;
  readonly #select: StatementSync;
  readonly #exists: StatementSync;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #rows = new LRUCache<BlockKey, Row>({ max: KNOWN_ROWS });
  readonly #files = new LRUCache<number, number>({ max: OPEN_FILES, dispose: (descriptor) => closeSync(descriptor) });
  #nextId = 1;
  #totals: DiskTotals = { blocks: 0, bytes: 0 };
  #inTransaction = false;

  /** Opens or makes the directory (0700). `durable`: commits survive a power cut, not only a crash. */
  constructor(directory: string, { durable, logger }: { readonly durable: boolean; readonly logger: Logger }) {
    this.#directory = directory;
    this.#logger = logger;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(join(directory, 'blocks.db'));
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${durable ? 'FULL' : 'NORMAL'};
      PRAGMA cache_size = -8192;
      PRAGMA mmap_size = 268435456;
      CREATE TABLE IF NOT EXISTS block (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        checksums BLOB NOT NULL,
        data BLOB
      );
    `);
    this.#select = this.#database.prepare('SELECT id, size, checksums, data FROM block WHERE key = ?');
    this.#exists = this.#database.prepare('SELECT 1 FROM block WHERE key = ?');
    this.#insert = this.#database.prepare(
      'INSERT INTO block (id, key, size, batch, checksums, data) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#delete = this.#database.prepare('DELETE FROM block WHERE id = ?');
    this.#recount();
    this.#sweepFiles();
  }

  /** The database, for the tables of whoever keeps more than blocks in it. */
  get database(): DatabaseSync {
    return this.#database;
  }

  get totals(): DiskTotals {
    return this.#totals;
  }

  has(key: BlockKey): boolean {
    return this.#rows.has(key) || this.#exists.get(keyBytes(key)) !== undefined;
  }

  /** The block's size in bytes; undefined where it is absent. */
  sizeOf(key: BlockKey): number | undefined {
    return this.#row(key)?.size;
  }

  get(key: BlockKey): Uint8Array | undefined {
    const row = this.#row(key);
    return row && this.#read(key, row, 0, row.size);
  }

  getRange(key: BlockKey, start: number, end: number): Uint8Array | undefined {
    const row = this.#row(key);
    return row && row.size >= end ? this.#read(key, row, start, end) : undefined;
  }

  /**
   * Keeps a block that was verified. `batch` marks it, for `deleteBatch`. False where it was there already.
   * @throws the file system's error (ENOSPC, EROFS); then nothing of it is left.
   */
  put(key: BlockKey, bytes: Uint8Array, batch = 0): boolean {
    if (this.has(key)) return false;
    const id = this.#nextId++;
    const inline = bytes.length <= INLINE_BYTES;
    if (!inline) this.#writeFile(id, bytes);
    this.#begin();
    this.#insert.run(id, keyBytes(key), bytes.length, batch, pageChecksums(bytes), inline ? bytes : null);
    this.#totals = { blocks: this.#totals.blocks + 1, bytes: this.#totals.bytes + bytes.length };
    return true;
  }

  /** Ends what was put since the last commit: a crash no longer loses it. */
  commit(): void {
    if (!this.#inTransaction) return;
    this.#inTransaction = false;
    this.#database.exec('COMMIT');
  }

  /** Takes back what was put since the last commit; its files are swept with `deleteBatch` or at the next start. */
  abandon(): void {
    if (!this.#inTransaction) return;
    this.#inTransaction = false;
    this.#database.exec('ROLLBACK');
    this.#rows.clear();
    this.#recount();
    this.#sweepFiles();
  }

  delete(key: BlockKey): void {
    const row = this.#row(key);
    if (row) this.#deleteRow(row.id, row.size, row.data === null, key);
  }

  /** Deletes every block that was put with `batch`; gives how many, and their bytes. */
  deleteBatch(batch: number): DiskTotals {
    return this.deleteWhere('batch = ?', batch);
  }

  /** Deletes the blocks for which an SQL condition on the table `block` holds. */
  deleteWhere(condition: string, ...values: readonly (number | Uint8Array)[]): DiskTotals {
    let blocks = 0;
    let bytes = 0;
    this.#begin();
    const doomed = this.#database.prepare(`SELECT id, size, data IS NULL AS large FROM block WHERE ${condition}`);
    for (const row of doomed.all(...values) as { id: number; size: number; large: number }[]) {
      this.#deleteRow(row.id, row.size, row.large === 1);
      blocks++;
      bytes += row.size;
    }
    this.#rows.clear();
    this.commit();
    return { blocks, bytes };
  }

  close(): void {
    this.commit();
    this.#files.clear();
    this.#database.close();
  }

  #recount(): void {
    const totals = this.#database.prepare(
      'SELECT count(*) AS blocks, total(size) AS bytes, coalesce(max(id), 0) AS last FROM block',
    );
    const { blocks, bytes, last } = totals.get() as { blocks: number; bytes: number; last: number };
    this.#totals = { blocks, bytes };
    this.#nextId = last + 1;
  }

  #begin(): void {
    if (this.#inTransaction) return;
    this.#database.exec('BEGIN');
    this.#inTransaction = true;
  }

  #row(key: BlockKey): Row | undefined {
    const known = this.#rows.get(key);
    if (known) return known;
    const row = this.#select.get(keyBytes(key)) as Row | undefined;
    // Small blocks are kept in memory above; here they would only push out the rows that save a query.
    if (row && row.data === null) this.#rows.set(key, row);
    return row;
  }

  #read(key: BlockKey, row: Row, start: number, end: number): Uint8Array | undefined {
    const firstPage = Math.floor(start / PAGE_BYTES);
    const from = firstPage * PAGE_BYTES;
    const to = Math.min(row.size, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES);
    try {
      const bytes = row.data ? row.data.subarray(from, to) : this.#readFile(row.id, from, to);
      if (bytes.length === to - from && pagesMatch(bytes, firstPage, row.checksums)) {
        return bytes.subarray(start - from, end - from);
      }
      this.#logger.error({ directory: this.#directory, id: row.id }, 'a block on the disk is damaged: forgetting it');
    } catch (error) {
      this.#logger.error(
        { directory: this.#directory, id: row.id, error: String(error) },
        'a block on the disk cannot be read: forgetting it',
      );
    }
    this.#forgetDamaged(key, row);
    return undefined;
  }

  /** A disk that cannot be written to either leaves the row; the block then is damaged at each read, and absent each time. */
  #forgetDamaged(key: BlockKey, row: Row): void {
    try {
      this.#begin();
      this.#deleteRow(row.id, row.size, row.data === null, key);
      this.commit();
    } catch (error) {
      this.#logger.error({ directory: this.#directory, error: String(error) }, 'a damaged block cannot be deleted');
    }
  }

  #deleteRow(id: number, size: number, large: boolean, key?: BlockKey): void {
    this.#begin();
    this.#delete.run(id);
    if (large) {
      this.#files.delete(id);
      rmSync(this.#path(id), { force: true });
    }
    if (key !== undefined) this.#rows.delete(key);
    this.#totals = { blocks: this.#totals.blocks - 1, bytes: this.#totals.bytes - size };
  }

  #readFile(id: number, from: number, to: number): Uint8Array {
    let descriptor = this.#files.get(id);
    if (descriptor === undefined) {
      descriptor = openSync(this.#path(id), 'r');
      this.#files.set(id, descriptor);
    }
    const bytes = Buffer.allocUnsafeSlow(to - from);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, from));
  }

  #writeFile(id: number, bytes: Uint8Array): void {
    const path = this.#path(id);
    try {
      writeFileSync(path, bytes, { mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        mkdirSync(join(this.#directory, 'files', directoryOf(id)), { recursive: true, mode: 0o700 });
        writeFileSync(path, bytes, { mode: 0o600 });
        return;
      }
      rmSync(path, { force: true });
      throw error;
    }
  }

  #path(id: number): string {
    return join(this.#directory, 'files', directoryOf(id), String(id));
  }

  /** Files whose row was never committed: their numbers come after the last row's. */
  #sweepFiles(): void {
    for (let index = 0; index < FANOUT; index++) {
      const directory = join(this.#directory, 'files', directoryOf(index));
      let names: string[];
      try {
        names = readdirSync(directory);
      } catch {
        continue;
      }
      for (const name of names) {
        if (Number(name) >= this.#nextId) rmSync(join(directory, name), { force: true });
      }
    }
  }
}

function directoryOf(id: number): string {
  return (id % FANOUT).toString(16).padStart(2, '0');
}

function keyBytes(key: BlockKey): Uint8Array {
  return Buffer.from(key, 'latin1');
}
