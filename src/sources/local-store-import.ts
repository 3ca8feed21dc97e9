/**
 * A CAR on its way into the local store: verified, put in batches, synced at its end, and only then recorded; what fails, or
 * dies, gives its space back.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { type Block, type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockDisk } from '../blocks/disk/block-disk.ts';
import { identityBytes, verifyBlock } from '../blocks/verify.ts';
import { type Car, readCar } from './car-reader.ts';
import { type Ballast, deleteBlocks, storeFailure, syncFileSystem } from './local-store-disk.ts';
import type { StoredRoots } from './local-store-roots.ts';

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

/** Small blocks are rows, some ten microseconds each, in one turn; SQLite's log must not outgrow what the ballast has room for. */
const BLOCKS_PER_COMMIT = 500;
const BYTES_PER_COMMIT = 8 * 1024 * 1024;

export interface ImportParts {
  readonly directory: string;
  readonly disk: BlockDisk;
  readonly roots: StoredRoots;
  readonly ballast: Ballast;
  /** Told of each block as soon as it is here. */
  readonly onBlock: (cid: CID, bytes: Uint8Array) => void;
}

/** One at a time. */
export class StoreImport {
  readonly #directory: string;
  readonly #disk: BlockDisk;
  readonly #roots: StoredRoots;
  readonly #ballast: Ballast;
  readonly #onBlock: ImportParts['onBlock'];

  constructor({ directory, disk, roots, ballast, onBlock }: ImportParts) {
    this.#directory = directory;
    this.#disk = disk;
    this.#roots = roots;
    this.#ballast = ballast;
    this.#onBlock = onBlock;
  }

  /** @throws as `LocalStore.importCar` */
  async run(chunks: AsyncIterable<Uint8Array>, { root, signal }: ImportOptions): Promise<Imported> {
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
      await this.giveBack(first).catch(() => undefined);
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
  async giveBack(first: number | undefined): Promise<void> {
    await this.#disk.answers();
    this.#ballast.drop();
    this.#disk.abandon();
    if (first === undefined) return;
    await deleteBlocks(this.#disk, first);
    this.#roots.dropImport(first);
    this.#ballast.take();
  }
}
