/**
 * The local store: what `add` and `import` brought, kept until its root is removed. It needs no network and no other
 * program, and never evicts.
 *
 * What always holds:
 * - A root is recorded only when all that came with it is verified, is readable here, and survives a power cut.
 * - An import that fails, or whose process dies, leaves what was there before and gives its space back: its blocks are
 *   those whose numbers begin where it began, and that beginning is on record while it lasts.
 * - Imports and garbage collection take turns: a block that an import found here is not swept before its root is recorded.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { CodedError, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import { type Block, type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockEnds, BlockStore } from '../blocks/block-store.ts';
import { BlockDisk } from '../blocks/disk/block-disk.ts';
import { DiskPulse } from '../blocks/disk/disk-pulse.ts';
import { parseCidText } from '../blocks/parse-cid.ts';
import { identityBytes, verifyBlock } from '../blocks/verify.ts';
import { type Car, readCar } from './car-reader.ts';
import { Ballast, openWithRoom, storeFailure, syncFileSystem } from './local-store-disk.ts';
import { markLive } from './local-store-mark.ts';
import { type KeptRoot, StoredRoots } from './local-store-roots.ts';

export interface LocalStoreOptions {
  readonly logger: Logger;
  /** Told of each block that an import brought, as soon as it is here. Must not throw. */
  readonly onBlock?: (cid: CID, bytes: Uint8Array) => void;
}

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

/** Its blocks may be nowhere else: a disk that has to spin up takes as long as this. */
const PATIENCE_MS = 10_000;
/** A disk that fails does so at each read: said no more often than this. */
const SAY_AGAIN_MS = 30_000;
/** Small blocks are rows, some ten microseconds each, in one turn; SQLite's log must not outgrow what the ballast has room for. */
const BLOCKS_PER_COMMIT = 500;
const BYTES_PER_COMMIT = 8 * 1024 * 1024;
/** Blocks looked at, which may have to go, between two turns: some ten milliseconds where all of them do. */
const BLOCKS_PER_TURN = 500;

export class LocalStore implements BlockStore {
  readonly name = 'local store';
  readonly #disk: BlockDisk;
  readonly #pulse: DiskPulse;
  readonly #logger: Logger;
  readonly #roots: StoredRoots;
  readonly #ballast: Ballast;
  readonly #directory: string;
  readonly #onBlock: (cid: CID, bytes: Uint8Array) => void;
  #turn: Promise<unknown> = Promise.resolve();
  /** How often the disk or the database could not be read. */
  #troubles = 0;
  #quietUntilMs = 0;

  /**
   * Opens or makes the store. What an import that died left behind is removed.
   * @throws STATE_LOCKED, CONFIG_INVALID where it cannot be used, saying why
   */
  static async open(directory: string, options: LocalStoreOptions): Promise<LocalStore> {
    const { logger } = options;
    try {
      const hadBallast = new Ballast(directory).isThere;
      const store = openWithRoom(directory, () => new LocalStore(directory, options));
      await store.#recover(logger);
      store.#ballast.setAside(hadBallast);
      return store;
    } catch (error) {
      throw storeFailure(error, directory, 'opened');
    }
  }

  private constructor(directory: string, { logger, onBlock }: LocalStoreOptions) {
    this.#directory = directory;
    this.#logger = logger;
    this.#pulse = new DiskPulse(directory);
    this.#onBlock = onBlock ?? (() => {});
    this.#disk = new BlockDisk(directory, {
      durable: true,
      patienceMs: PATIENCE_MS,
      onDamage: (key) =>
        logger.error(
          { directory, multihash: Buffer.from(key, 'latin1').toString('hex') },
          'a block of the local store is damaged on the disk and lost: add or import its root again',
        ),
      onTrouble: (error) => this.#cannotRead(error),
    });
    this.#roots = new StoredRoots(this.#disk);
    this.#ballast = new Ballast(directory);
  }

  has(key: BlockKey): boolean {
    return !this.#pulse.isLate && this.#disk.has(key);
  }

  get(key: BlockKey): MaybePromise<Uint8Array | undefined> {
    return this.#whenFelt(() => this.#disk.get(key));
  }

  ends(key: BlockKey): BlockEnds | undefined {
    return this.#pulse.isLate ? undefined : this.#disk.ends(key);
  }

  expect(key: BlockKey, start: number, end: number): void {
    if (!this.#pulse.isLate) this.#disk.expect(key, start, end);
  }

  getRange(key: BlockKey, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    return this.#whenFelt((isThisTurn) => this.#disk.getRange(key, start, end, isThisTurn ? scratch : undefined));
  }

  /**
   * Takes a CAR, version 1 or 2, as it streams in. Resolves when it is safe on the disk.
   * @throws CAR_INVALID, BLOCK_CORRUPT and BLOCK_TOO_LARGE naming the block, STORE_FULL, ABORTED, INTERNAL for a disk that fails
   */
  importCar(car: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<Imported> {
    return this.#inTurn(() => this.#import(car, options));
  }

  /** Every root kept, the latest first. */
  roots(): KeptRoot[] {
    return this.#roots.all();
  }

  /** Forgets a root, however it is spelled; its blocks stay until `gc`. @throws NOT_IN_STORE, INTERNAL, STORE_FULL */
  remove(cid: CID): Promise<void> {
    return this.#cleaning(async () => {
      if (this.#roots.remove(cid)) return;
      throw new CodedError('NOT_IN_STORE', `the local store keeps no root ${cid}; "store ls" shows them`);
    });
  }

  /** Removes every block that no root leads to. @throws INTERNAL, STORE_FULL; what was removed until then stays so */
  gc(): Promise<{ readonly removedBlocks: number; readonly freedBytes: number }> {
    return this.#cleaning(async () => {
      const roots = this.roots().map(({ cid }) => parseCidText(cid));
      const troubles = this.#troubles;
      await markLive(this.#disk, roots);
      // What a block leads to that could not be read would be taken for nobody's.
      if (this.#troubles > troubles) throw new CodedError('INTERNAL', 'a block cannot be read, so nothing is removed');
      const { blocks, bytes } = await this.#deleteAll(0, 'key NOT IN (SELECT key FROM live)');
      this.#disk.database.exec('DROP TABLE live');
      return { removedBlocks: blocks, freedBytes: bytes };
    });
  }

  statistics(): { readonly roots: number; readonly blocks: number; readonly bytes: number } {
    return { roots: this.#roots.count, ...this.#disk.totals };
  }

  /** Waits for what is under way; an import should be aborted before. */
  async close(): Promise<void> {
    await this.#turn.catch(() => undefined);
    if (!this.#pulse.isLate) this.#disk.close();
  }

  #whenFelt(ask: (isThisTurn: boolean) => MaybePromise<Uint8Array | undefined>): MaybePromise<Uint8Array | undefined> {
    return this.#pulse.whenFelt(PATIENCE_MS, { ask, onSilence: (error) => this.#cannotRead(error) });
  }

  #cannotRead(error: unknown): void {
    this.#troubles++;
    const nowMs = performance.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + SAY_AGAIN_MS;
    this.#logger.error({ directory: this.#directory, error: messageChain(error) }, 'the local store cannot be read');
  }

  async #import(chunks: AsyncIterable<Uint8Array>, { root, signal }: ImportOptions): Promise<Imported> {
    let first: number | undefined;
    try {
      await this.#disk.answers();
      if (!this.#disk.isThere) throw new CodedError('INTERNAL', 'its directory was deleted; restart the daemon');
      this.#ballast.take();
      first = this.#roots.beginImport();
      // Until all of it is synced at once: a sync for each commit would hold up whoever reads.
      this.#disk.durable = false;
      const car = await readCar(chunks);
      const { blocks, bytes, last } = await this.#putAll(car.blocks, signal);
      const roots = this.#rootsOf(car, root, last);
      await syncFileSystem(this.#directory);
      if (!this.#disk.isThere) throw new CodedError('INTERNAL', 'its directory was deleted; restart the daemon');
      this.#disk.durable = true;
      this.#roots.endImport(first, roots, { blocks, bytes });
      return { roots: roots.map((cid) => cid.toString()), blocks, bytes };
    } catch (error) {
      await this.#giveBack(first).catch(() => undefined);
      throw storeFailure(error, this.#directory, 'written');
    } finally {
      this.#durableAgain();
    }
  }

  #rootsOf(car: Car, root: ImportOptions['root'], last: CID | undefined): readonly CID[] {
    const roots = root === 'header' ? car.roots : last ? [last] : [];
    if (roots.length === 0)
      throw new CodedError('CAR_INVALID', 'the CAR names no root, so nothing of it would be kept');
    for (const cid of roots) {
      if (!identityBytes(cid) && !this.#disk.has(blockKey(cid))) {
        throw new CodedError('CAR_INVALID', `the CAR does not hold the block of its root ${cid}`);
      }
    }
    return roots;
  }

  async #putAll(
    blocks: AsyncIterable<{ readonly cid: CID; readonly bytes: Uint8Array }>,
    signal: AbortSignal | undefined,
  ): Promise<{ blocks: number; bytes: number; last: CID | undefined }> {
    const total = { blocks: 0, bytes: 0, last: undefined as CID | undefined };
    const batch = new Map<BlockKey, Block>();
    let batchBytes = 0;
    const putBatch = async (): Promise<void> => {
      await this.#disk.answers(true);
      await this.#disk.putAll(batch);
      this.#disk.commit();
      for (const { cid, bytes } of batch.values()) this.#onBlock(cid, bytes);
      batch.clear();
      batchBytes = 0;
    };
    for await (const { cid, bytes } of blocks) {
      if (signal?.aborted) throw new CodedError('ABORTED', 'the sender went away', { cause: signal.reason });
      verifyBlock(cid, bytes);
      total.blocks++;
      total.bytes += bytes.length;
      total.last = cid;
      if (identityBytes(cid) || (await this.#isHere(blockKey(cid)))) continue;
      batch.set(blockKey(cid), { cid, bytes });
      batchBytes += bytes.length;
      if (batch.size >= BLOCKS_PER_COMMIT || batchBytes >= BYTES_PER_COMMIT) await putBatch();
    }
    await putBatch();
    return total;
  }

  /** It is read once: one that is damaged is forgotten by that, and kept anew. */
  async #isHere(key: BlockKey): Promise<boolean> {
    return this.#disk.has(key) && (await this.#disk.get(key)) !== undefined;
  }

  #durableAgain(): void {
    try {
      this.#disk.durable = true;
    } catch {
      // In the middle of what a dead disk does not let go of; nothing is committed there any more.
    }
  }

  /** What a failed import put here. On a full disk the ballast makes the room that deleting takes. */
  async #giveBack(first: number | undefined): Promise<void> {
    await this.#disk.answers();
    this.#ballast.drop();
    this.#disk.abandon();
    if (first === undefined) return;
    await this.#deleteAll(first);
    this.#roots.dropImport(first);
    this.#ballast.take();
  }

  /** Of all blocks from number `from` on; between turns of the event loop, since there may be a million. */
  async #deleteAll(from: number, condition?: string): Promise<{ blocks: number; bytes: number }> {
    const total = { blocks: 0, bytes: 0 };
    this.#disk.checkpoint();
    for (let first: number | undefined = from; first !== undefined; ) {
      await this.#disk.answers();
      const { blocks, bytes, next } = this.#disk.deleteSome(first, BLOCKS_PER_TURN, condition);
      first = next;
      total.blocks += blocks;
      total.bytes += bytes;
      if (blocks > 0) this.#disk.checkpoint();
      await nextTurn();
    }
    for (let more = true; more; ) {
      more = this.#disk.shrink();
      this.#disk.checkpoint();
      await nextTurn();
    }
    return total;
  }

  /** A disk that is full still serves what is on it: what cannot be given back now is at the next start. */
  async #recover(logger: Logger): Promise<void> {
    const first = this.#roots.unfinished;
    if (first === undefined) return;
    try {
      await this.#giveBack(first);
      logger.warn({ directory: this.#directory }, 'an import was cut off by a crash: its blocks are removed');
    } catch (error) {
      logger.error(
        { directory: this.#directory, error: String(error) },
        'what a cut-off import left cannot be removed',
      );
    }
  }

  /** Work that frees space, which must succeed on a full disk above all: the ballast makes room for it. */
  #cleaning<T>(work: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      try {
        await this.#disk.answers();
        this.#ballast.drop();
        return await work();
      } catch (error) {
        this.#disk.abandon();
        throw storeFailure(error, this.#directory, 'cleaned');
      }
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
