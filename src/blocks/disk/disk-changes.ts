/**
 * Puts blocks and deletes them, as one since the last commit: a transaction of the database, and the files that belong to it,
 * which know of none.
 *
 * What always holds:
 * - A row is there only once its file is whole, and a file as long as a row may name it.
 * - A file is deleted only once it is settled that its row is gone: the deletion that is committed says `doomed`, then the file
 *   goes, and the next commit takes the word back. A process that dies in between leaves the word, and the next one goes by it.
 * - A file whose row was never committed has a number that no committed total has given out: it is swept at the next start.
 * - What is taken back (`abandon`) leaves no file behind, and takes none away.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BlockKey } from '../block.ts';
import type { BlockFiles } from './block-files.ts';
import { type BlockRows, INLINE_BYTES, type Row } from './block-rows.ts';
import type { DiskTotal, DiskTotals } from './disk-total.ts';

/** A block to be put, with the number that it has on the disk. */
export interface NumberedBlock {
  readonly id: number;
  readonly key: BlockKey;
  readonly bytes: Uint8Array;
}

export interface SomeDeleted extends DiskTotals {
  readonly next: number | undefined;
}

export class DiskChanges {
  readonly #database: DatabaseSync;
  readonly #files: BlockFiles;
  readonly #rows: BlockRows;
  readonly #total: DiskTotal;
  readonly #doom: StatementSync;
  readonly #settle: StatementSync;
  #begun = false;
  /** Calls of `writeFiles` under way. */
  #writing = 0;
  /** Large files written, and doomed, since the last commit; and those deleted since, still in `doomed`. */
  #written: number[] = [];
  #doomed: number[] = [];
  #settled: number[] = [];

  constructor(database: DatabaseSync, files: BlockFiles, rows: BlockRows, total: DiskTotal) {
    this.#database = database;
    this.#files = files;
    this.#rows = rows;
    this.#total = total;
    this.#doom = database.prepare('INSERT OR IGNORE INTO doomed (id) VALUES (?)');
    this.#settle = database.prepare('DELETE FROM doomed WHERE id = ?');
  }

  /** False once the database is closed. */
  get isOpen(): boolean {
    return this.#database.isOpen;
  }

  /** Nothing is begun, and no file is being written. */
  get isIdle(): boolean {
    return !this.#begun && this.#writing === 0;
  }

  /** Begins what `commit` ends, where nothing has begun it. @throws where an earlier error made SQLite take all of it back */
  begin(): void {
    if (this.#begun) {
      this.#checkBegun();
    } else {
      this.#database.exec('BEGIN');
      this.#begun = true;
    }
  }

  /**
   * Numbers blocks, and writes the files of the large ones in other threads; `insert` follows for each.
   * @throws the file system's error (ENOSPC, EROFS); `abandon` must follow then.
   */
  async writeFiles(blocks: ReadonlyMap<BlockKey, { readonly bytes: Uint8Array }>): Promise<NumberedBlock[]> {
    const numbered = [...blocks].map(([key, { bytes }]) => ({ id: this.#total.takeId(), key, bytes }));
    const large = numbered.filter(({ bytes }) => bytes.length > INLINE_BYTES);
    this.#writing++;
    // Whatever fails, all of them end first: none may write after its number was given up.
    const outcomes = await Promise.allSettled(large.map(({ id, bytes }) => this.#files.write(id, bytes)));
    this.#writing--;
    for (const { id } of large) this.#written.push(id);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    return numbered;
  }

  /** The row of a block whose file, where it has one, is written, and which has no row. @throws SQLite's error */
  insert({ id, key, bytes }: NumberedBlock): void {
    this.begin();
    this.#rows.insert(id, key, bytes);
    this.#total.count(bytes.length, 1);
  }

  /** The row, and what belongs to it. @throws SQLite's error */
  delete({ id, size, data }: Pick<Row, 'id' | 'size' | 'data'>, key: BlockKey): void {
    this.#delete(id, size, data === null, key);
  }

  /**
   * Of the first `count` blocks from number `from` on, deletes, and commits, those for which an SQL condition on the table
   * `block` holds. `next` is the number to go on from; undefined where these were all. @throws SQLite's error
   */
  deleteSome(from: number, count: number, condition: string): SomeDeleted {
    const beyond = this.#database.prepare('SELECT id FROM block WHERE id >= ? ORDER BY id LIMIT 1 OFFSET ?');
    const next = (beyond.get(from, count) as { id: number } | undefined)?.id;
    const doomed = this.#database.prepare(
      `SELECT id, size, data IS NULL AS large FROM block WHERE id >= ? AND id < ? AND (${condition})`,
    );
    const rows = doomed.all(from, next ?? this.#total.nextId) as { id: number; size: number; large: number }[];
    let bytes = 0;
    for (const { id, size, large } of rows) {
      this.#delete(id, size, large === 1);
      bytes += size;
    }
    this.commit();
    return { blocks: rows.length, bytes, next };
  }

  #delete(id: number, size: number, large: boolean, key?: BlockKey): void {
    this.begin();
    this.#rows.delete(id, key);
    this.#total.count(size, -1);
    if (!large) return;
    this.#doom.run(id);
    this.#doomed.push(id);
  }

  /** Ends what was begun: a crash no longer undoes it. @throws SQLite's error; then `abandon` must follow */
  commit(): void {
    if (!this.#begun) return;
    this.#checkBegun();
    for (const id of this.#settled) this.#settle.run(id);
    this.#total.save();
    this.#database.exec('COMMIT');
    this.#begun = false;
    for (const id of this.#doomed) this.#files.remove(id);
    this.#settled = this.#doomed;
    this.#doomed = [];
    this.#written = [];
  }

  /** Takes back what was begun. @throws SQLite's error, where the disk is gone */
  abandon(): void {
    for (const id of this.#written) this.#files.remove(id);
    this.#written = [];
    this.#doomed = [];
    this.#begun = false;
    this.#rows.forget();
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    this.#total.load();
  }

  /** Removes what the last process left half done. @throws RangeError, SQLite's error */
  recover(): void {
    const closed = this.#total.load();
    // A disk that is read-only or full now still serves what is on it.
    this.#settled = this.#database
      .prepare('SELECT id FROM doomed')
      .all()
      .map(({ id }) => Number(id));
    for (const id of this.#settled) this.#files.remove(id);
    if (!closed) this.#files.sweep(this.#total.nextId);
  }

  /** After some errors SQLite has rolled back by itself: what was put is gone, and who put it must hear of it. */
  #checkBegun(): void {
    if (!this.#database.isTransaction) throw new Error('an earlier error undid what was written since the last commit');
  }
}
