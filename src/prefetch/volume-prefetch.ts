/**
 * One mounted volume's background work, from mount to unmount: its profile first, then the rest as its options say, again
 * after what failed, until all is here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { codeOf, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { backoffMs } from '../blocks/backoff.ts';
import type { BlockTally } from '../blocks/block-tally.ts';
import { contentKey } from '../unixfs/content-key.ts';
import type { BootProfile } from './boot-profile.ts';
import { type FillOptions, type FillParts, type FillResult, fill } from './fill.ts';
import { Plan } from './plan.ts';
import { ProfilePlan } from './profile-plan.ts';

export interface VolumePrefetchOptions {
  readonly root: CID;
  readonly tally: BlockTally;
  readonly prefetch: 'auto' | 'all' | 'none';
  /** As `FillOptions.hasRoom`; holds for `auto` alone. */
  readonly hasRoom: (bytes: number) => boolean;
  /** Told of each block that is here. */
  readonly onHere?: ((cid: CID) => void) | undefined;
  /** Called once all is here. */
  readonly onComplete?: ((signal: AbortSignal) => Promise<void>) | undefined;
  readonly logger: Logger;
}

/** Between two passes over what could not be had: the first soon, since an outage is often over soon. */
const RETRY = { firstMs: 5000, maxMs: 300_000 };
/** Room in the cache comes with an eviction or the end of another volume. */
const FULL_RETRY_MS = 60_000;
const ROOM_WORTH_A_PASS_BYTES = 64 * 1024 * 1024;

export class VolumePrefetch {
  readonly #parts: FillParts;
  readonly #options: VolumePrefetchOptions;
  #bytesTotal: number | null = null;
  #complete = false;
  #running = false;

  constructor(parts: FillParts, options: VolumePrefetchOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Null until every directory is known. */
  get bytesTotal(): number | null {
    return this.#bytesTotal;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** True while something is being fetched, or will be again after a failure. */
  get prefetching(): boolean {
    return this.#running;
  }

  /** Blocks were evicted: what is here is not known any more. */
  forget(): void {
    this.#complete = false;
    this.#options.tally.recount();
  }

  /** Runs until all is here, nothing more is to be fetched, or `signal` aborts. Never rejects. */
  async run(profile: BootProfile | undefined, signal: AbortSignal): Promise<void> {
    const { prefetch, logger } = this.#options;
    try {
      if (prefetch === 'none') {
        await this.pass({ signal, fetch: false });
        return;
      }
      this.#running = true;
      if (profile) await fill(this.#parts, new ProfilePlan(profile), this.#fillOptions('profile', signal, true));
      for (let failures = 0; !signal.aborted; ) {
        const result = await this.pass({ signal, fetch: true });
        if (this.#complete) break;
        this.#running = result.stopped !== 'full';
        if (result.stopped === 'full') {
          failures = 0;
          do await sleep(FULL_RETRY_MS, undefined, { signal, ref: false });
          while (!this.#options.hasRoom(ROOM_WORTH_A_PASS_BYTES));
        } else {
          failures++;
          if (failures === 1) logger.warn({ error: messageChain(result.lastError) }, 'prefetching will be tried again');
          await sleep(backoffMs(RETRY, failures, Math.random), undefined, { signal, ref: false });
        }
      }
    } catch (error) {
      if (!signal.aborted && codeOf(error) !== 'ABORTED') {
        logger.error({ error: messageChain(error) }, 'prefetching ended by a defect');
      }
    } finally {
      this.#running = false;
    }
  }

  /** One pass over all of the volume; `everything` whatever the cache's bound. @throws ABORTED */
  async pass({ signal, fetch, everything = false }: PassOptions): Promise<FillResult> {
    const { root, onComplete, logger } = this.#options;
    const plan = new Plan(contentKey(root));
    const result = await fill(this.#parts, plan, this.#fillOptions('background', signal, fetch, everything));
    this.#complete = result.missing === 0 && !result.stopped;
    if (!this.#complete) return result;
    // Exact now: no claim of anybody's is left in it.
    this.#bytesTotal = this.#options.tally.bytesHere;
    await onComplete?.(signal).catch((error: unknown) => {
      if (!signal.aborted) logger.warn({ error: messageChain(error) }, 'the volume is here, and could not be pinned');
    });
    return result;
  }

  #fillOptions(
    priority: FillOptions['priority'],
    signal: AbortSignal,
    fetch: boolean,
    everything = false,
  ): FillOptions {
    const { tally, prefetch, hasRoom, onHere } = this.#options;
    return {
      priority,
      tally,
      signal,
      fetch,
      ...(prefetch === 'auto' && !everything ? { hasRoom } : {}),
      ...(onHere ? { onHere } : {}),
      onTotal: (bytes) => {
        this.#bytesTotal = bytes;
      },
    };
  }
}

export interface PassOptions {
  readonly signal: AbortSignal;
  readonly fetch: boolean;
  readonly everything?: boolean;
}
