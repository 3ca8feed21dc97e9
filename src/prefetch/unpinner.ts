/**
 * Lets go of the pins of volumes that are gone: of the blocks in the cache that no other pinned volume has, and of the
 * root at Kubo. What is to be let go of stands in a file until it is, so that a daemon that ends in the middle leaves the
 * rest to the next one.
 *
 * Looking takes a while, in which a volume of the same content may be made and pinned: what it holds is not let go of.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { BlockKey } from '../blocks/block.ts';
import type { BackgroundSuspects } from './background-suspects.ts';
import { ownKeys } from './content-keys.ts';
import type { FillParts } from './fill.ts';
import type { PinnableCache, Pinner } from './pins.ts';
import type { UnpinList } from './unpin-list.ts';

/** The roots of the volumes that are pinned, as they are at each call. */
export type PinnedRoots = () => readonly CID[];

interface UnpinnerParts {
  readonly cache: PinnableCache;
  readonly unpinList: UnpinList;
  readonly pinner?: Pinner | undefined;
  /** True where nobody asked for the Kubo node: it may not be there. */
  readonly pinnerIsOptional?: boolean;
  /** Where ends of the process are remembered. */
  readonly suspects?: BackgroundSuspects | undefined;
  readonly logger: Logger;
}

interface Unpinning {
  readonly root: CID;
  readonly volume?: string;
  /** Whether Kubo has pinned it; undefined where that is not known. What fails where there may be no Kubo is no trouble. */
  readonly atKubo?: boolean | undefined;
}

/** Unpinned in one turn: some milliseconds, at 10 µs each. */
const UNPINNED_A_TURN = 512;

export class Unpinner {
  readonly #fillParts: FillParts;
  readonly #parts: UnpinnerParts;

  constructor(fillParts: FillParts, parts: UnpinnerParts) {
    this.#fillParts = fillParts;
    this.#parts = parts;
  }

  /** Never rejects for Kubo's sake: a warning says what could not be done. @throws what the list's file does */
  async unpin(unpinning: Unpinning, pinnedRoots: PinnedRoots, signal: AbortSignal): Promise<void> {
    await this.#parts.unpinList.add(unpinning.root);
    await this.#letGo(unpinning, pinnedRoots, signal);
  }

  /** What an earlier daemon was to unpin, and ended before. */
  async resume(pinnedRoots: PinnedRoots, signal: AbortSignal): Promise<void> {
    for (const root of this.#parts.unpinList.roots) await this.#letGo({ root }, pinnedRoots, signal);
  }

  async #letGo({ root, volume, atKubo }: Unpinning, pinnedRoots: PinnedRoots, signal: AbortSignal): Promise<void> {
    const { pinner, unpinList, suspects, logger, pinnerIsOptional } = this.#parts;
    try {
      const work = async () => {
        const others = await this.#unpinOwn(root, pinnedRoots, signal);
        if (!includes(others, root)) await pinner?.unpin(root, { signal });
        await unpinList.delete(root);
      };
      // It begins anew with each daemon, and walks what one may have ended of.
      await (suspects ? suspects.guard(`unpinning/${root}`, signal, work, () => true) : work());
    } catch (error) {
      // What is left is the next daemon's.
      if (signal.aborted) return;
      const fields = { volume, root: `${root}`, error: messageChain(error) };
      logger[(atKubo ?? !pinnerIsOptional) ? 'warn' : 'debug'](fields, 'the volume could not be unpinned');
    }
  }

  /** Unpins what `root` has in the cache and no other pinned root; gives those others. */
  async #unpinOwn(root: CID, pinnedRoots: PinnedRoots, signal: AbortSignal): Promise<readonly CID[]> {
    for (;;) {
      const others = pinnedRoots();
      const keys = await ownKeys(this.#fillParts, root, others, signal);
      const holds = () => pinnedRoots().every((now) => includes(others, now));
      if (await this.#unpinKeys(keys, holds, signal)) return others;
    }
  }

  /** Some in each turn; false as soon as `holds` does not. The last come first: what is beneath a block is found by it. */
  async #unpinKeys(keys: readonly BlockKey[], holds: () => boolean, signal: AbortSignal): Promise<boolean> {
    for (let end = keys.length; end > 0 && holds(); end -= UNPINNED_A_TURN) {
      signal.throwIfAborted();
      await this.#parts.cache.unpin(keys.slice(Math.max(0, end - UNPINNED_A_TURN), end));
      await nextTurn();
    }
    return holds();
  }
}

function includes(roots: readonly CID[], root: CID): boolean {
  return roots.some((other) => other.equals(root));
}
