/**
 * Which cached block is the least useful: a segmented LRU, as a table beside the blocks, so that a million of them take no
 * memory.
 *
 * A block starts on probation and becomes protected when it is used again, some time after its first use. "Some time",
 * because a file is read in many pieces and by several at once: all of that is one use. Probation goes first, the one
 * whose use is longest ago ahead, so that a scan, which uses everything once, pushes out its own blocks and not the hot
 * ones. What a reader is using was used just now, and so is the last to go. Pinned blocks never do.
 *
 * A read only notes its key in memory; the notes go to the table with the next write, or every few thousand. Losing them
 * in a crash costs a few wrong guesses.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BlockKey } from '../blocks/block.ts';
import { SPACE_OF_SIZE, spaceOf } from '../blocks/disk/disk-total.ts';

const PROBATION = 0;
const PROTECTED = 1;
const PINNED = 2;

/** Notes kept before they are written: some ten megabytes of SQLite's journal where all are of different pages. */
const MAX_NOTES = 2048;
/** Uses closer together are one: the pieces of one reading, the processes of one start. */
const ONE_USE_MS = 10_000;
/** Of the bound: with fewer bytes on probation than this the protected go instead, or new blocks could never prove useful. */
const PROBATION_SHARE = 0.1;
/** Victims looked up at a time. */
const VICTIMS = 64;

export interface Victim {
  readonly key: BlockKey;
  readonly size: number;
}

interface Usage {
  readonly class: number;
  readonly size: number;
  /** When it was first used, in ms; 0 where it has not been yet. */
  readonly since: number;
}

interface Note {
  first: number;
  last: number;
}

export class CacheUsage {
  readonly #now: () => number;
  readonly #notes = new Map<BlockKey, Note>();
  readonly #insert: StatementSync;
  readonly #use: StatementSync;
  readonly #remove: StatementSync;
  readonly #setClass: StatementSync;
  readonly #find: StatementSync;
  readonly #oldest: StatementSync;
  readonly #totals: StatementSync;
  /** Orders uses of the same millisecond, and goes on where the clock was set back. */
  #order: number;
  #probationBytes = 0;
  #pinnedBytes = 0;

  /** `now` gives the time in ms. */
  constructor(database: DatabaseSync, now: () => number) {
    this.#now = now;
    database.exec(`
      CREATE TABLE IF NOT EXISTS usage (
        key BLOB PRIMARY KEY, class INTEGER NOT NULL, used INTEGER NOT NULL, since INTEGER NOT NULL, size INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS usage_order ON usage (class, used, size);
    `);
    this.#totals = database.prepare(`
      SELECT total(size) FILTER (WHERE class = ${PROBATION}) AS probation,
        total(${SPACE_OF_SIZE}) FILTER (WHERE class = ${PINNED} AND size > 0) AS pinned FROM usage
    `);
    this.reload();
    const { latest } = database.prepare('SELECT coalesce(max(used), 0) AS latest FROM usage').get() as {
      latest: number;
    };
    this.#order = latest;
    this.#insert = database.prepare(
      'INSERT OR REPLACE INTO usage (key, class, used, since, size) VALUES (?, ?, ?, ?, ?)',
    );
    this.#use = database.prepare('UPDATE usage SET class = ?, used = ?, since = ? WHERE key = ?');
    this.#remove = database.prepare('DELETE FROM usage WHERE key = ?');
    this.#setClass = database.prepare('UPDATE usage SET class = ? WHERE key = ?');
    this.#find = database.prepare('SELECT class, size, since FROM usage WHERE key = ?');
    this.#oldest = database.prepare(`SELECT key, size, used FROM usage WHERE class = ? ORDER BY used LIMIT ${VICTIMS}`);
  }

  /** A block was written; `used` where a reader waited for it, which is its first use. */
  add(key: BlockKey, sizeBytes: number, used: boolean): void {
    const known = this.#row(key);
    this.#move(known, { class: known?.class ?? PROBATION, size: sizeBytes });
    const now = this.#now();
    this.#insert.run(
      bytesOf(key),
      known?.class ?? PROBATION,
      this.#next(now),
      used ? now : (known?.since ?? 0),
      sizeBytes,
    );
  }

  /** A block was read from the disk. True where it is time to `flush`. */
  touch(key: BlockKey): boolean {
    const now = this.#now();
    const note = this.#notes.get(key);
    if (note) note.last = now;
    else this.#notes.set(key, { first: now, last: now });
    return this.#notes.size >= MAX_NOTES;
  }

  /** Writes the notes. @throws the disk's error */
  flush(): void {
    for (const [key, { first, last }] of this.#notes) {
      const row = this.#row(key);
      if (!row) continue;
      const since = row.since === 0 ? first : row.since;
      const kind = Math.max(row.class, last - since >= ONE_USE_MS ? PROTECTED : PROBATION);
      this.#move(row, { class: kind, size: row.size });
      this.#use.run(kind, this.#next(last), since, bytesOf(key));
    }
    this.#notes.clear();
  }

  /** It is used at this moment, whatever was noted of it. */
  renew(key: BlockKey): void {
    const row = this.#row(key);
    if (row) this.#use.run(row.class, this.#next(this.#now()), row.since, bytesOf(key));
  }

  delete(key: BlockKey): void {
    this.#move(this.#row(key), undefined);
    this.#remove.run(bytesOf(key));
    this.#notes.delete(key);
  }

  /** Whether they are here already or will be. */
  pin(keys: Iterable<BlockKey>): void {
    for (const key of keys) {
      const row = this.#row(key);
      this.#move(row, row && { class: PINNED, size: row.size });
      if (row) this.#setClass.run(PINNED, bytesOf(key));
      else this.#insert.run(bytesOf(key), PINNED, this.#next(this.#now()), 0, 0);
    }
  }

  unpin(keys: Iterable<BlockKey>): void {
    for (const key of keys) {
      const row = this.#row(key);
      if (row?.class !== PINNED) continue;
      this.#move(row, { class: PROBATION, size: row.size });
      // One of no size was pinned ahead of its coming.
      if (row.size === 0) this.#remove.run(bytesOf(key));
      else this.#setClass.run(PROBATION, bytesOf(key));
    }
  }

  isPinned(key: BlockKey): boolean {
    return this.#row(key)?.class === PINNED;
  }

  /** The room that pinned blocks take, as the cache's bound counts it. */
  get pinnedBytes(): number {
    return this.#pinnedBytes;
  }

  /** What goes before anything that was used again: new blocks push out so much, and then each other. */
  newcomersBytes(limitBytes: number): number {
    return Math.max(this.#probationBytes, limitBytes * PROBATION_SHARE);
  }

  /** After a rollback: the table says what is so. */
  reload(): void {
    const { probation, pinned } = this.#totals.get() as { probation: number; pinned: number };
    this.#probationBytes = probation;
    this.#pinnedBytes = pinned;
  }

  /**
   * Some of the blocks that go first, the least useful ahead; none where all are pinned. `byAge`: those whose use is longest ago,
   * however often they were used.
   */
  victims(limitBytes: number, byAge = false): Victim[] {
    if (byAge) {
      const oldest = [...this.#oldestOf(PROBATION), ...this.#oldestOf(PROTECTED)];
      return oldest.sort((a, b) => a.used - b.used).slice(0, VICTIMS);
    }
    const fromProbation = this.#probationBytes > limitBytes * PROBATION_SHARE;
    const first = this.#oldestOf(fromProbation ? PROBATION : PROTECTED);
    return first.length > 0 ? first : this.#oldestOf(fromProbation ? PROTECTED : PROBATION);
  }

  #oldestOf(kind: number): (Victim & { readonly used: number })[] {
    const rows = this.#oldest.all(kind) as { key: Uint8Array; size: number; used: number }[];
    return rows.map(({ key, ...row }) => ({ key: Buffer.from(key).toString('latin1') as BlockKey, ...row }));
  }

  #move(from: Pick<Usage, 'class' | 'size'> | undefined, to: Pick<Usage, 'class' | 'size'> | undefined): void {
    if (from?.class === PROBATION) this.#probationBytes -= from.size;
    if (to?.class === PROBATION) this.#probationBytes += to.size;
    // One of no size is pinned ahead of its coming.
    if (from?.class === PINNED && from.size > 0) this.#pinnedBytes -= spaceOf(from.size);
    if (to?.class === PINNED && to.size > 0) this.#pinnedBytes += spaceOf(to.size);
  }

  #row(key: BlockKey): Usage | undefined {
    return this.#find.get(bytesOf(key)) as Usage | undefined;
  }

  #next(now: number): number {
    this.#order = Math.max(this.#order + 1, Math.floor(now) * 1000);
    return this.#order;
  }
}

function bytesOf(key: BlockKey): Uint8Array {
  return Buffer.from(key, 'latin1');
}
