/**
 * The table of blocks: by key a row with its number, size, checksums, and the bytes themselves where they are few.
 *
 * A row is believed only as far as its types go: of a damaged database any column may come back as anything.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { LRUCache } from 'lru-cache';
import { type BlockKey, MAX_BLOCK_BYTES } from '../block.ts';
import { packEnds } from './block-ends.ts';
import { pageChecksums } from './page-checksums.ts';

/** Up to here a row is read faster than a file is opened; SQLite's own measurements put the border near it too. */
export const INLINE_BYTES = 32 * 1024;
/** Rows of large blocks, so that each piece of 128 KiB does not ask SQLite. */
const KNOWN_ROWS = 4096;

export interface Row {
  readonly id: number;
  readonly size: number;
  readonly checksums: Uint8Array;
  /** Null where the bytes are a file. */
  readonly data: Uint8Array | null;
  /** Of a block that is a file, as `packEnds` makes them; null where an older program wrote the row. */
  readonly ends: Uint8Array | null;
}

export class BlockRows {
  readonly #select: StatementSync;
  readonly #selectLarge: StatementSync;
  readonly #exists: StatementSync;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #known = new LRUCache<BlockKey, Row>({ max: KNOWN_ROWS });

  constructor(database: DatabaseSync) {
    this.#select = database.prepare('SELECT id, size, checksums, data, ends FROM block WHERE key = ?');
    this.#selectLarge = database.prepare(
      'SELECT id, size, checksums, data, ends FROM block WHERE key = ? AND data IS NULL',
    );
    this.#exists = database.prepare('SELECT 1 FROM block WHERE key = ?');
    this.#insert = database.prepare(
      'INSERT INTO block (id, key, size, checksums, data, ends) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#delete = database.prepare('DELETE FROM block WHERE id = ?');
  }

  has(key: BlockKey): boolean {
    return this.#known.has(key) || this.#exists.get(keyBytes(key)) !== undefined;
  }

  /** @throws SQLite's error; RangeError for a row that is none */
  find(key: BlockKey): Row | undefined {
    return this.#known.get(key) ?? this.#found(key, this.#select);
  }

  /** The row of a block that is a file, without reading the bytes of one that is not. @throws as `find` does */
  findLarge(key: BlockKey): Row | undefined {
    return this.#known.get(key) ?? this.#found(key, this.#selectLarge);
  }

  #found(key: BlockKey, select: StatementSync): Row | undefined {
    const row = select.get(keyBytes(key));
    if (row === undefined) return undefined;
    if (!isRow(row)) throw new RangeError('a row of the table of blocks is damaged');
    // Small blocks are kept in memory above; here they would only push out the rows that save a query.
    if (row.data === null) this.#known.set(key, row);
    return row;
  }

  insert(id: number, key: BlockKey, bytes: Uint8Array): void {
    const [data, ends] = bytes.length <= INLINE_BYTES ? [bytes, null] : [null, packEnds(key, bytes)];
    this.#insert.run(id, keyBytes(key), bytes.length, pageChecksums(key, bytes), data, ends);
  }

  delete(id: number, key?: BlockKey): void {
    this.#delete.run(id);
    if (key === undefined) this.#known.clear();
    else this.#known.delete(key);
  }

  /** After a rollback: nothing is known any more. */
  forget(): void {
    this.#known.clear();
  }
}

function isRow(row: Record<string, unknown>): row is Record<string, unknown> & Row {
  const { id, size, checksums, data, ends } = row;
  return (
    typeof id === 'number' &&
    typeof size === 'number' &&
    size >= 0 &&
    size <= MAX_BLOCK_BYTES &&
    checksums instanceof Uint8Array &&
    (data === null || data instanceof Uint8Array) &&
    (ends === null || ends instanceof Uint8Array)
  );
}

function keyBytes(key: BlockKey): Uint8Array {
  return Buffer.from(key, 'latin1');
}
