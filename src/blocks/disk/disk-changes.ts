/**
 * What was put and deleted since the last commit: a transaction of the database, and the files that belong to it, which know of
 * none.
 *
 * What always holds:
 * - A file is deleted only once it is settled that its row is gone: the deletion that is committed says `doomed`, then the file
 *   goes, and the next commit takes the word back. A process that dies in between leaves the word, and the next one goes by it.
 * - A file whose row was never committed has a number that no committed total has given out: it is swept at the next start.
 * - What is taken back (`abandon`) leaves no file behind, and takes none away.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BlockFiles } from './block-files.ts';
import type { DiskTotal } from './disk-total.ts';

export class DiskChanges {
  readonly #database: DatabaseSync;
  readonly #files: BlockFiles;
  readonly #total: DiskTotal;
  readonly #doom: StatementSync;
  readonly #settle: StatementSync;
  #begun = false;
  /** Large files written, and doomed, since the last commit; and those deleted since, still in `doomed`. */
  #written: number[] = [];
  #doomed: number[] = [];
  #settled: number[] = [];

  constructor(database: DatabaseSync, files: BlockFiles, total: DiskTotal) {
    this.#database = database;
    this.#files = files;
    this.#total = total;
    this.#doom = database.prepare('INSERT OR IGNORE INTO doomed (id) VALUES (?)');
    this.#settle = database.prepare('DELETE FROM doomed WHERE id = ?');
  }

  /** True from `begin` to `commit` or `abandon`. */
  get areBegun(): boolean {
    return this.#begun;
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

  /** File `id` was written, or begun to be. */
  wrote(id: number): void {
    this.#written.push(id);
  }

  /** The row of file `id` was deleted. After `begin`. */
  doom(id: number): void {
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
