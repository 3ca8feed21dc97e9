/**
 * The local store: what `add` and `import` brought, kept until its root is removed. It needs no network and no other
 * program, and never evicts.
 *
 * What always holds:
 * - A root is recorded only when all that came with it is verified and survives a power cut.
 * - An import that fails leaves what was there before, and gives the space of its own blocks back.
 * - Imports and garbage collection take turns: a block that an import found here is not swept before its root is recorded.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { CodedError, hasCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockStore } from '../blocks/block-store.ts';
import { BlockDisk } from '../blocks/disk/block-disk.ts';
import { parseCidText } from '../blocks/parse-cid.ts';
import { identityBytes, verifyBlock } from '../blocks/verify.ts';
import { readCar } from './car-reader.ts';
import { markLive } from './local-store-mark.ts';

export interface ImportOptions {
  /** `header`: the roots are those of the CAR's header. `last`: it names none, and its last block is the root. */
  readonly root: 'header' | 'last';
  readonly signal?: AbortSignal;
}

export interface Imported {
  /** As the CAR spells them. */
  readonly roots: readonly string[];
  /** Blocks and bytes in the CAR, those that were here already included. */
  readonly blocks: number;
  readonly bytes: number;
}

export interface KeptRoot {
  readonly cid: string;
  readonly blocks: number;
  readonly bytes: number;
  readonly addedAt: string;
}

/** A commit costs a sync of SQLite's log; a crash between two costs no more than an import that failed anyway. */
const BLOCKS_PER_COMMIT = 2000;
/** Blocks between two turns of the event loop: about 10 ms of hashing. */
const BYTES_PER_TURN = 8 * 1024 * 1024;

export class LocalStore implements BlockStore {
  readonly name = 'local store';
  readonly #disk: BlockDisk;
  readonly #directory: string;
  #turn: Promise<unknown> = Promise.resolve();
  #lastBatch: number;

  /** Opens or makes the store. What an import that died left behind is removed. */
  static async open(directory: string, { logger }: { readonly logger: Logger }): Promise<LocalStore> {
    return new LocalStore(directory, logger);
  }

  private constructor(directory: string, logger: Logger) {
    this.#directory = directory;
    this.#disk = new BlockDisk(directory, { durable: true, logger });
    this.#disk.database.exec(`
      CREATE TABLE IF NOT EXISTS root (
        cid TEXT PRIMARY KEY, blocks INTEGER NOT NULL, bytes INTEGER NOT NULL, added_at TEXT NOT NULL
      );
      CREATE TABLE IF NOT EXISTS unfinished (batch INTEGER PRIMARY KEY);
    `);
    const unfinished = this.#disk.database.prepare('SELECT batch FROM unfinished').all() as { batch: number }[];
    for (const { batch } of unfinished) this.#giveBack(batch);
    const last = this.#disk.database.prepare('SELECT coalesce(max(batch), 0) AS batch FROM block');
    this.#lastBatch = (last.get() as { batch: number }).batch;
  }

  has(key: BlockKey): boolean {
    return this.#disk.has(key);
  }

  get(key: BlockKey): Uint8Array | undefined {
    return this.#disk.get(key);
  }

  getRange(key: BlockKey, start: number, end: number): Uint8Array | undefined {
    return this.#disk.getRange(key, start, end);
  }

  /**
   * Takes a CAR, version 1 or 2, as it streams in. Resolves when it is safe on the disk.
   * @throws CAR_INVALID, BLOCK_CORRUPT and BLOCK_TOO_LARGE naming the block, STORE_FULL, ABORTED
   */
  importCar(car: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<Imported> {
    return this.#inTurn(() => this.#import(car, options));
  }

  /** Every root kept, the latest first. */
  roots(): KeptRoot[] {
    const rows = this.#disk.database.prepare(
      'SELECT cid, blocks, bytes, added_at AS addedAt FROM root ORDER BY added_at DESC, cid',
    );
    return rows.all().map((row) => ({ ...row }) as unknown as KeptRoot);
  }

  /** Forgets a root; its blocks stay until `gc`. The same content under another spelling is the same root. @throws NOT_IN_STORE */
  remove(cid: CID): void {
    const found = this.roots().find((root) => blockKey(parseCidText(root.cid)) === blockKey(cid));
    if (!found) throw new CodedError('NOT_IN_STORE', `the local store keeps no root ${cid}; "store ls" shows them`);
    this.#disk.database.prepare('DELETE FROM root WHERE cid = ?').run(found.cid);
  }

  /** Removes every block that no root leads to. */
  gc(): Promise<{ readonly removedBlocks: number; readonly freedBytes: number }> {
    return this.#inTurn(async () => {
      await markLive(
        this.#disk,
        this.roots().map(({ cid }) => parseCidText(cid)),
      );
      const { blocks, bytes } = this.#disk.deleteWhere('key NOT IN (SELECT key FROM live)');
      this.#disk.database.exec('DROP TABLE live; PRAGMA wal_checkpoint(TRUNCATE)');
      return { removedBlocks: blocks, freedBytes: bytes };
    });
  }

  statistics(): { readonly roots: number; readonly blocks: number; readonly bytes: number } {
    const { roots } = this.#disk.database.prepare('SELECT count(*) AS roots FROM root').get() as { roots: number };
    return { roots, ...this.#disk.totals };
  }

  /** Waits for what is under way; an import should be aborted before. */
  async close(): Promise<void> {
    await this.#turn.catch(() => undefined);
    this.#disk.close();
  }

  async #import(chunks: AsyncIterable<Uint8Array>, { root, signal }: ImportOptions): Promise<Imported> {
    const batch = ++this.#lastBatch;
    this.#disk.database.prepare('INSERT INTO unfinished (batch) VALUES (?)').run(batch);
    try {
      const car = await readCar(chunks);
      const { blocks, bytes, last } = await this.#putAll(car.blocks, batch, signal);
      const roots = root === 'header' ? car.roots : last ? [last] : [];
      if (roots.length === 0)
        throw new CodedError('CAR_INVALID', 'the CAR names no root, so nothing of it would be kept');
      for (const cid of roots) {
        if (!identityBytes(cid) && !this.#disk.has(blockKey(cid))) {
          throw new CodedError('CAR_INVALID', `the CAR does not hold the block of its root ${cid}`);
        }
      }
      await this.#sync();
      this.#record(batch, roots, blocks, bytes);
      return { roots: roots.map((cid) => cid.toString()), blocks, bytes };
    } catch (error) {
      this.#giveBack(batch);
      throw explain(error, this.#directory);
    }
  }

  async #putAll(
    blocks: AsyncIterable<{ readonly cid: CID; readonly bytes: Uint8Array }>,
    batch: number,
    signal: AbortSignal | undefined,
  ): Promise<{ blocks: number; bytes: number; last: CID | undefined }> {
    const total = { blocks: 0, bytes: 0, last: undefined as CID | undefined };
    let sinceTurn = 0;
    for await (const { cid, bytes } of blocks) {
      if (signal?.aborted) throw new CodedError('ABORTED', 'the sender went away', { cause: signal.reason });
      verifyBlock(cid, bytes);
      if (!identityBytes(cid)) this.#disk.put(blockKey(cid), bytes, batch);
      total.blocks++;
      total.bytes += bytes.length;
      total.last = cid;
      if (total.blocks % BLOCKS_PER_COMMIT === 0) this.#disk.commit();
      sinceTurn += bytes.length;
      if (sinceTurn >= BYTES_PER_TURN) {
        sinceTurn = 0;
        await nextTurn();
      }
    }
    this.#disk.commit();
    return total;
  }

  #record(batch: number, roots: readonly CID[], blocks: number, bytes: number): void {
    const { database } = this.#disk;
    database.exec('BEGIN');
    const insert = database.prepare('INSERT OR REPLACE INTO root (cid, blocks, bytes, added_at) VALUES (?, ?, ?, ?)');
    for (const cid of roots) insert.run(cid.toString(), blocks, bytes, new Date().toISOString());
    database.prepare('DELETE FROM unfinished WHERE batch = ?').run(batch);
    database.exec('COMMIT');
  }

  /** What a failed import put here. On a full disk deleting needs no room: SQLite keeps pages for it in its log. */
  #giveBack(batch: number): void {
    this.#disk.abandon();
    this.#disk.deleteBatch(batch);
    this.#disk.database.prepare('DELETE FROM unfinished WHERE batch = ?').run(batch);
  }

  /** One syncfs(2) for all files, by sync(1), since Node has only fsync, and one for each of a thousand files takes seconds. */
  async #sync(): Promise<void> {
    const child = spawn('sync', ['--file-system', this.#directory], { stdio: 'ignore' });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new CodedError('INTERNAL', `sync(1) of ${this.#directory} ended with exit code ${code}`);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function explain(error: unknown, directory: string): unknown {
  if (hasCode(error, 'STORE_FULL')) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  // SQLite says "database or disk is full".
  if (code === 'ENOSPC' || code === 'EDQUOT' || /disk is full/.test(message)) {
    return new CodedError(
      'STORE_FULL',
      `no space left for the local store in ${directory}; nothing of this import is kept`,
      {
        cause: error,
      },
    );
  }
  return error;
}
