/**
 * The local store: what `add` and `import` brought, kept until its root is removed. It needs no network and no other
 * program, and never evicts.
 *
 * What always holds:
 * - A root is recorded only when all that came with it is verified, is readable here, and survives a power cut.
 * - An import that fails, or whose process dies, leaves what was there before and gives its space back: its blocks are
 *   those whose numbers begin where it began, and that beginning is on record while it lasts (`local-store-import.ts`).
 * - Imports and garbage collection take turns: a block that an import found here is not swept before its root is recorded.
 */
import type { CID } from 'multiformats/cid';
import { CodedError, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import { SaidLately } from '../base/said-lately.ts';
import type { Scratch } from '../base/scratch.ts';
import type { BlockKey } from '../blocks/block.ts';
import type { BlockEnds, BlockStore } from '../blocks/block-store.ts';
import { BlockDisk } from '../blocks/disk/block-disk.ts';
import { DiskPulse } from '../blocks/disk/disk-pulse.ts';
import { parseCidText } from '../blocks/parse-cid.ts';
import { Ballast, deleteBlocks, openWithRoom, storeFailure } from './local-store-disk.ts';
import { type Imported, type ImportOptions, StoreImport } from './local-store-import.ts';
import { markLive } from './local-store-mark.ts';
import { type KeptRoot, StoredRoots } from './local-store-roots.ts';

export interface LocalStoreOptions {
  readonly logger: Logger;
  /** Told of each block that an import brought, as soon as it is here. Must not throw. */
  readonly onBlock?: (cid: CID, bytes: Uint8Array) => void;
  /** Told of each block that was found damaged, and is here no more. */
  readonly onGone?: (key: BlockKey, sizeBytes: number) => void;
}

/** Its blocks may be nowhere else: a disk that has to spin up takes as long as this. */
const PATIENCE_MS = 10_000;

export class LocalStore implements BlockStore {
  readonly name = 'local store';
  readonly #disk: BlockDisk;
  readonly #pulse: DiskPulse;
  readonly #logger: Logger;
  readonly #roots: StoredRoots;
  readonly #ballast: Ballast;
  readonly #directory: string;
  readonly #import: StoreImport;
  #turn: Promise<unknown> = Promise.resolve();
  /** How often the disk or the database could not be read. */
  #unanswered = 0;
  #troubles = 0;
  readonly #saidLately = new SaidLately();

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

  private constructor(directory: string, { logger, onBlock, onGone }: LocalStoreOptions) {
    this.#directory = directory;
    this.#logger = logger;
    this.#pulse = new DiskPulse(directory);
    this.#disk = new BlockDisk(directory, {
      durable: true,
      patienceMs: PATIENCE_MS,
      onDamage: (key, sizeBytes) => {
        logger.error(
          { directory, multihash: Buffer.from(key, 'latin1').toString('hex') },
          'a block of the local store is damaged on the disk and lost: add or import its root again',
        );
        onGone?.(key, sizeBytes);
      },
      onTrouble: (error) => this.#cannotRead(error),
    });
    this.#roots = new StoredRoots(this.#disk);
    this.#ballast = new Ballast(directory);
    this.#import = new StoreImport({
      directory,
      disk: this.#disk,
      roots: this.#roots,
      ballast: this.#ballast,
      onBlock: onBlock ?? (() => {}),
    });
  }

  has(key: BlockKey): boolean {
    if (!this.#pulse.isLate) return this.#disk.has(key);
    this.#unanswered++;
    return false;
  }

  /** How often it was asked for a block and its disk could not answer, so that it seemed to have none. */
  get unanswered(): number {
    return this.#unanswered + this.#troubles;
  }

  /** In bytes; undefined where the block is absent, and while the disk does not answer. */
  sizeOf(key: BlockKey): number | undefined {
    return this.#pulse.isLate ? undefined : this.#disk.sizeOf(key);
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
    return this.#whenFelt((isThisTurn) =>
      this.#disk.getRange(key, start, end, isThisTurn || scratch?.outlivesTurn ? scratch : undefined),
    );
  }

  /**
   * Takes a CAR, version 1 or 2, as it streams in. Resolves when it is safe on the disk.
   * @throws CAR_INVALID, BLOCK_CORRUPT and BLOCK_TOO_LARGE naming the block, STORE_FULL, ABORTED, INTERNAL for a disk that fails
   */
  importCar(car: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<Imported> {
    return this.#inTurn(() => this.#import.run(car, options));
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
      const { blocks, bytes } = await deleteBlocks(this.#disk, 0, 'key NOT IN (SELECT key FROM live)');
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
    if (!this.#saidLately.say(performance.now())) return;
    this.#logger.error({ directory: this.#directory, error: messageChain(error) }, 'the local store cannot be read');
  }

  /** A disk that is full still serves what is on it: what cannot be given back now is at the next start. */
  async #recover(logger: Logger): Promise<void> {
    const first = this.#roots.unfinished;
    if (first === undefined) return;
    try {
      await this.#import.giveBack(first);
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
