/**
 * The roots that the local store keeps, and where an import under way began, in tables beside the blocks. Each change is
 * committed by itself, so that a failed import takes nothing back but its own.
 */
import type { CID } from 'multiformats/cid';
import type { BlockDisk } from '../blocks/disk/block-disk.ts';
import { parseCidText } from '../blocks/parse-cid.ts';

export interface KeptRoot {
  readonly cid: string;
  readonly blocks: number;
  readonly bytes: number;
  readonly addedAt: string;
}

export class StoredRoots {
  readonly #disk: BlockDisk;

  constructor(disk: BlockDisk) {
    this.#disk = disk;
    disk.database.exec(`
      CREATE TABLE IF NOT EXISTS root (
        cid TEXT PRIMARY KEY, blocks INTEGER NOT NULL, bytes INTEGER NOT NULL, added_at TEXT NOT NULL
      );
      CREATE TABLE IF NOT EXISTS unfinished (first INTEGER PRIMARY KEY);
    `);
  }

  get count(): number {
    const { roots } = this.#disk.database.prepare('SELECT count(*) AS roots FROM root').get() as { roots: number };
    return roots;
  }

  /** The latest first. */
  all(): KeptRoot[] {
    const rows = this.#disk.database.prepare(
      'SELECT cid, blocks, bytes, added_at AS addedAt FROM root ORDER BY added_at DESC, cid',
    );
    return rows.all().map((row) => ({ ...row }) as unknown as KeptRoot);
  }

  /** Removes that content under whatever spelling it was imported; false where it is none of the roots. */
  remove(cid: CID): boolean {
    const same = this.all().filter((root) => isSame(parseCidText(root.cid), cid));
    this.#disk.begin();
    for (const root of same) this.#disk.database.prepare('DELETE FROM root WHERE cid = ?').run(root.cid);
    this.#disk.commit();
    return same.length > 0;
  }

  /** The number of the first block of an import that was neither ended nor dropped. */
  get unfinished(): number | undefined {
    const row = this.#disk.database.prepare('SELECT min(first) AS first FROM unfinished').get();
    return (row as { first: number | null }).first ?? undefined;
  }

  /** Gives the number of the first block that the import will put. */
  beginImport(): number {
    const first = this.#disk.nextId;
    this.#disk.begin();
    this.#disk.database.prepare('INSERT OR IGNORE INTO unfinished (first) VALUES (?)').run(first);
    this.#disk.commit();
    return first;
  }

  /** Records the roots; from here on the import stays. */
  endImport(
    first: number,
    roots: readonly CID[],
    { blocks, bytes }: { readonly blocks: number; readonly bytes: number },
  ): void {
    const { database } = this.#disk;
    this.#disk.begin();
    const insert = database.prepare('INSERT OR REPLACE INTO root (cid, blocks, bytes, added_at) VALUES (?, ?, ?, ?)');
    for (const cid of roots) insert.run(cid.toString(), blocks, bytes, new Date().toISOString());
    database.prepare('DELETE FROM unfinished WHERE first = ?').run(first);
    this.#disk.commit();
  }

  dropImport(first: number): void {
    this.#disk.begin();
    this.#disk.database.prepare('DELETE FROM unfinished WHERE first >= ?').run(first);
    this.#disk.commit();
  }
}

/** CIDv0 and CIDv1 of one DAG node are; the same bytes read by another codec are something else. */
function isSame(a: CID, b: CID): boolean {
  return a.code === b.code && Buffer.compare(a.multihash.bytes, b.multihash.bytes) === 0;
}
