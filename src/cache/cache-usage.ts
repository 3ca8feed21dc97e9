/**
 * Which cached block is the least useful: the segmented LRU of the disk cache, as a table beside its blocks.
 *
 * A read only notes its key in memory; the notes go to the table with the next write, or every few thousand. Losing them
 * in a crash costs a few wrong guesses.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BlockKey } from '../blocks/block.ts';

const PROBATION = 0;
const PROTECTED = 1;
const PINNED = 2;

/** Notes kept before they are written. */
const MAX_NOTES = 4096;
/** Of the bound: with fewer bytes on probation than this the protected go instead, or new blocks could never prove useful. */
const PROBATION_SHARE = 0.1;
/** Victims looked up at a time. */
const VICTIMS = 64;

export class CacheUsage {
  readonly #touched = new Set<BlockKey>();
  readonly #insert: StatementSync;
  readonly #touch: StatementSync;
  readonly #remove: StatementSync;
  readonly #setClass: StatementSync;
  readonly #classOf: StatementSync;
  readonly #oldest: StatementSync;
  #clock: number;
  #probationBytes: number;

  constructor(database: DatabaseSync) {
    database.exec(`
      CREATE TABLE IF NOT EXISTS usage (
        key BLOB PRIMARY KEY, class INTEGER NOT NULL, used INTEGER NOT NULL, size INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS usage_order ON usage (class, used);
      INSERT OR IGNORE INTO usage (key, class, used, size) SELECT key, ${PROBATION}, 0, size FROM block;
      DELETE FROM usage WHERE class != ${PINNED} AND key NOT IN (SELECT key FROM block);
    `);
    const state = database
      .prepare(
        `SELECT coalesce(max(used), 0) AS clock, total(CASE class WHEN ${PROBATION} THEN size END) AS bytes FROM usage`,
      )
      .get() as { clock: number; bytes: number };
    this.#clock = state.clock;
    this.#probationBytes = state.bytes;
    this.#insert = database.prepare(
      'INSERT INTO usage (key, class, used, size) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET size = excluded.size',
    );
    this.#touch = database.prepare(
      `UPDATE usage SET used = ?, class = max(class, ${PROTECTED}) WHERE key = ? RETURNING size`,
    );
    this.#remove = database.prepare('DELETE FROM usage WHERE key = ? RETURNING class, size');
    this.#setClass = database.prepare('UPDATE usage SET class = ? WHERE key = ?');
    this.#classOf = database.prepare('SELECT class, size FROM usage WHERE key = ?');
    this.#oldest = database.prepare(`SELECT key FROM usage WHERE class = ? ORDER BY used LIMIT ${VICTIMS}`);
  }

  /** A block was written. */
  add(key: BlockKey, sizeBytes: number): void {
    const known = this.#row(key);
    this.#insert.run(bytesOf(key), known?.class ?? PROBATION, ++this.#clock, sizeBytes);
    if ((known?.class ?? PROBATION) === PROBATION) this.#probationBytes += sizeBytes - (known?.size ?? 0);
  }

  /** A block was read from the disk. */
  touch(key: BlockKey): void {
    this.#touched.add(key);
    if (this.#touched.size >= MAX_NOTES) this.flush();
  }

  /** Writes the notes. @throws the disk's error */
  flush(): void {
    for (const key of this.#touched) {
      if (this.#row(key)?.class === PROBATION) this.#probationBytes -= this.#row(key)?.size ?? 0;
      this.#touch.get(++this.#clock, bytesOf(key));
    }
    this.#touched.clear();
  }

  delete(key: BlockKey): void {
    const row = this.#remove.get(bytesOf(key)) as { class: number; size: number } | undefined;
    if (row?.class === PROBATION) this.#probationBytes -= row.size;
    this.#touched.delete(key);
  }

  pin(keys: Iterable<BlockKey>): void {
    for (const key of keys) {
      const row = this.#row(key);
      if (row?.class === PROBATION) this.#probationBytes -= row.size;
      if (row) this.#setClass.run(PINNED, bytesOf(key));
      else this.#insert.run(bytesOf(key), PINNED, ++this.#clock, 0);
    }
  }

  unpin(keys: Iterable<BlockKey>): void {
    for (const key of keys) if (this.isPinned(key)) this.#setClass.run(PROTECTED, bytesOf(key));
  }

  isPinned(key: BlockKey): boolean {
    return this.#row(key)?.class === PINNED;
  }

  /** Some of the blocks that go first, the least useful ahead; none where all are pinned. */
  victims(limitBytes: number): BlockKey[] {
    const fromProbation = this.#probationBytes > limitBytes * PROBATION_SHARE;
    for (const kind of fromProbation ? [PROBATION, PROTECTED] : [PROTECTED, PROBATION]) {
      const rows = this.#oldest.all(kind) as { key: Uint8Array }[];
      if (rows.length > 0) return rows.map(({ key }) => Buffer.from(key).toString('latin1') as BlockKey);
    }
    return [];
  }

  #row(key: BlockKey): { class: number; size: number } | undefined {
    return this.#classOf.get(bytesOf(key)) as { class: number; size: number } | undefined;
  }
}

function bytesOf(key: BlockKey): Uint8Array {
  return Buffer.from(key, 'latin1');
}
