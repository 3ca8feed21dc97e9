/**
 * Pins of one volume's blocks: each as it is here, so that nothing of a volume that is on its way is evicted before it is
 * whole, and the root at Kubo once all is.
 */
import type { CID } from 'multiformats/cid';
import type { BlockKey } from '../blocks/block.ts';

/** What keeps blocks from eviction: the disk cache. The local store never evicts. */
export interface PinnableCache {
  has(key: BlockKey): boolean;
  pin(keys: Iterable<BlockKey>): void;
  unpin(keys: Iterable<BlockKey>): Promise<void>;
}

/** A Kubo node. */
export interface Pinner {
  pin(root: CID, options: { readonly signal: AbortSignal }): Promise<void>;
  unpin(root: CID, options: { readonly signal: AbortSignal }): Promise<void>;
}

/** Pins are written to the cache's table so many at a time. */
const PIN_BATCH = 256;

export class Pins {
  readonly #root: CID;
  readonly #cache: PinnableCache;
  readonly #pinner: Pinner | undefined;
  #batch: BlockKey[] = [];
  #atKubo: boolean | undefined;

  constructor(root: CID, cache: PinnableCache, pinner: Pinner | undefined) {
    this.#root = root;
    this.#cache = cache;
    this.#pinner = pinner;
  }

  /** True once a Kubo node has pinned the root; undefined where nothing was asked of these pins. */
  get atKubo(): boolean | undefined {
    return this.#atKubo;
  }

  readonly onHere = (key: BlockKey): void => {
    this.#atKubo ??= false;
    if (this.#cache.has(key)) this.#batch.push(key);
    if (this.#batch.length >= PIN_BATCH) this.#flush();
  };

  /** All is here. @throws what the Kubo node does */
  readonly onComplete = async (signal: AbortSignal): Promise<void> => {
    this.#flush();
    await this.#pinner?.pin(this.#root, { signal });
    this.#atKubo = this.#pinner !== undefined;
  };

  #flush(): void {
    this.#cache.pin(this.#batch);
    this.#batch = [];
  }
}
