/**
 * How many blocks there are and what they take, as a row of the database beside them: counting a million rows at each
 * start would take seconds in which nobody is served. It is written with each commit, and so is never behind.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BlockFiles, FILE_UNIT_BYTES } from './block-files.ts';
import { INLINE_BYTES } from './block-rows.ts';

/** What a row takes beside its bytes: key and checksums, twice indexed, and what pages leave unused. */
const ROW_BYTES = 512;

/** A page is moved in some microseconds while readers wait, and each stands in the journal meanwhile: 4 MiB of it. */
const MAX_SHRINK_PAGES = 1024;

export interface DiskTotals {
  readonly blocks: number;
  readonly bytes: number;
}

interface Counts extends DiskTotals {
  readonly fileBytes: number;
  readonly nextId: number;
  readonly closed: number;
}

export class DiskTotal {
  blocks = 0;
  bytes = 0;
  #nextId = 1;
  readonly #database: DatabaseSync;
  readonly #update: StatementSync;
  readonly #pages: StatementSync;
  #fileBytes = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#update = database.prepare(
      'UPDATE total SET blocks = ?, bytes = ?, file_bytes = ?, next_id = ?, closed = 0 WHERE only = 1',
    );
    this.#pages = database.prepare(
      `SELECT page_count - freelist_count AS used, freelist_count AS free, page_size AS bytes
       FROM pragma_page_count, pragma_freelist_count, pragma_page_size`,
    );
  }

  /** Of the first block that is put from now on; numbers only ascend. */
  get nextId(): number {
    return this.#nextId;
  }

  /** The next number, which is given out once. */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId = BlockFiles.after(id);
    return id;
  }

  /** As of the last commit. True where the process that made it closed the database. @throws RangeError for nonsense */
  load(): boolean {
    const query = 'SELECT blocks, bytes, file_bytes AS fileBytes, next_id AS nextId, closed FROM total';
    const counts = this.#database.prepare(query).get() as Counts | undefined;
    if (!counts || !Object.values(counts).every((count) => Number.isSafeInteger(count) && count >= 0)) {
      throw new RangeError('the totals of the blocks are damaged');
    }
    this.blocks = counts.blocks;
    this.bytes = counts.bytes;
    this.#fileBytes = counts.fileBytes;
    // Never back: a file may be on its way to the disk under a number that was given out.
    this.#nextId = Math.max(this.#nextId, counts.nextId);
    return counts.closed === 1;
  }

  /** Within the transaction that is about to be committed. */
  save(): void {
    this.#update.run(this.blocks, this.bytes, this.#fileBytes, this.#nextId);
  }

  /** `factor` is 1 for a block that came, -1 for one that went. */
  count(sizeBytes: number, factor: 1 | -1): void {
    this.blocks += factor;
    this.bytes += factor * sizeBytes;
    if (sizeBytes > INLINE_BYTES) this.#fileBytes += factor * BlockFiles.bytesOnDisk(sizeBytes);
  }

  /** What it all takes on the disk, the index included, unused pages not. */
  get spaceBytes(): number {
    const { used, bytes } = this.#pages.get() as { used: number; bytes: number };
    return used * bytes + this.#fileBytes;
  }

  /** Gives up to 4 MiB of unused pages back to the file system, where there are more than `keepBytes` of them; true where
   * more are left. */
  shrink(keepBytes: number): boolean {
    const { free, bytes } = this.#pages.get() as { free: number; bytes: number };
    const spare = Math.min(free - Math.floor(keepBytes / bytes), MAX_SHRINK_PAGES);
    // `all`, since each step of the statement gives back one page.
    if (spare > 0) this.#database.prepare(`PRAGMA incremental_vacuum(${spare})`).all();
    return spare === MAX_SHRINK_PAGES;
  }
}

/** What a block of that size will take, or gives back, generously. */
export function spaceOf(sizeBytes: number): number {
  return ROW_BYTES + (sizeBytes <= INLINE_BYTES ? sizeBytes : BlockFiles.bytesOnDisk(sizeBytes));
}

/** The same in SQL, of a column `size`. */
export const SPACE_OF_SIZE = `(${ROW_BYTES} + iif(size <= ${INLINE_BYTES}, size, (size + ${FILE_UNIT_BYTES - 1}) / ${FILE_UNIT_BYTES} * ${FILE_UNIT_BYTES}))`;
