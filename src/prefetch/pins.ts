/**
 * Pins of one volume's blocks: each as it is here, so that nothing of a volume that is on its way is evicted before it is
 * whole, and the root at Kubo once all is. A node that could not be told is told again when somebody asks for that (`retry`).
 */
import type { CID } from 'multiformats/cid';
import { messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
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
  readonly #logger: Logger;
  #batch: BlockKey[] = [];
  #atKubo: boolean | undefined;
  /** All was here, and who is to keep it could not be told. */
  #isUntold = false;

  constructor(root: CID, cache: PinnableCache, pinner: Pinner | undefined, logger: Logger) {
    this.#root = root;
    this.#cache = cache;
    this.#pinner = pinner;
    this.#logger = logger;
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

  /** All is here. What fails is said once, and tried again with `retry`. */
  async complete(signal: AbortSignal): Promise<void> {
    try {
      this.#flush();
      await this.#pinner?.pin(this.#root, { signal });
      this.#atKubo = this.#pinner !== undefined;
      this.#isUntold = false;
    } catch (error) {
      if (signal.aborted) return;
      const fields = { error: messageChain(error) };
      if (!this.#isUntold) this.#logger.warn(fields, 'the volume is here, and could not be pinned: trying again');
      this.#isUntold = true;
    }
  }

  /** All is still here. */
  async retry(signal: AbortSignal): Promise<void> {
    if (this.#isUntold) await this.complete(signal);
  }

  #flush(): void {
    this.#cache.pin(this.#batch);
    this.#batch = [];
  }
}
