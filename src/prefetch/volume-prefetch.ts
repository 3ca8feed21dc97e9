/**
 * One mounted volume's background work, from mount to unmount: its profile first, then passes over all of it as its options
 * say, again after what failed, until all is here; and counts from then on.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { codeOf, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../blocks/clock.ts';
import { contentKey } from '../unixfs/content-key.ts';
import type { BootProfile } from './boot-profile.ts';
import { NextPass } from './next-pass.ts';
import { pause } from './pause.ts';
import type { Pins } from './pins.ts';
import { ProfilePlan } from './profile-plan.ts';
import type { ComingStart } from './shipped-request.ts';
import { TopLevels } from './top-levels.ts';
import type { PassResult, VolumePasses } from './volume-passes.ts';

export interface VolumePrefetchOptions {
  readonly root: CID;
  readonly prefetch: 'auto' | 'all' | 'none';
  /** Where what is here of it is not evicted. */
  readonly pins: Pins | undefined;
  /** As `VolumePassesOptions.hasRoom`. */
  readonly hasRoom: (bytes: number, whole: boolean) => boolean;
  /** As `VolumePassesOptions.holdMs`. */
  readonly holdMs: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class VolumePrefetch {
  /** All of it is wanted, and not as far as there is room. */
  readonly isWhole: boolean;
  readonly #passes: VolumePasses;
  readonly #options: VolumePrefetchOptions;
  readonly #next: NextPass;
  /** Runs and calls that fetch at this moment, or will again after a failure. */
  #fetching = 0;
  #profile: { readonly over: Promise<unknown>; readonly signal: AbortSignal } | undefined;

  constructor(passes: VolumePasses, options: VolumePrefetchOptions) {
    this.isWhole = options.prefetch === 'all';
    this.#passes = passes;
    this.#options = options;
    this.#next = new NextPass(options.clock);
  }

  /** True while something is being fetched, or will be again after a failure. */
  get prefetching(): boolean {
    return this.#fetching > 0;
  }

  /** Blocks went, or came, that nobody named: what is here is counted at once, where nothing else is under way. */
  countAgain(): void {
    this.#passes.doubt();
    this.#next.now();
  }

  /**
   * Runs until all is here, nothing more is to be fetched, or `signal` aborts. The profile comes at once, the rest no
   * sooner than after `settleMs`. Never rejects.
   */
  async run(
    profile: BootProfile | undefined,
    signal: AbortSignal,
    settleMs: number,
    coming?: ComingStart,
  ): Promise<void> {
    const { prefetch, holdMs, clock, logger } = this.#options;
    const settledMs = clock.nowMs() + settleMs;
    const settled = async () => {
      const leftMs = settledMs - clock.nowMs();
      if (leftMs > 0) await pause(clock, leftMs, signal);
    };
    try {
      if (prefetch === 'none') {
        await settled();
        await this.#count(signal);
        return await this.#keepCounted(signal);
      }
      // Mount is answered first.
      await nextTurn();
      await this.#busy(async () => {
        const foretold = profile && this.fetchProfile(profile, signal, coming);
        // An end of it is for the wait below.
        foretold?.catch(() => undefined);
        // Nobody waits for one that nobody has.
        if (!foretold && settleMs > 0) void this.#fetchTopLevels(signal).catch(() => undefined);
        await settled();
        if (foretold) await this.#next.thatCountsFirst(foretold, holdMs, signal);
        // What is here stands anywhere in it, and behind what is missing it would be counted in hours.
        await this.#count(signal);
        await foretold;
      });
      for (;;) {
        while (!this.#passes.brought) {
          await this.#busy(() => this.#fetch(signal));
          if (!this.#passes.brought) await this.#untilRoom(signal);
        }
        await this.#keepCounted(signal);
      }
    } catch (error) {
      if (!signal.aborted && codeOf(error) !== 'ABORTED') {
        this.#passes.failed(messageChain(error));
        logger.error({ error: messageChain(error) }, 'prefetching ended by a defect');
      }
    }
  }

  /** Brings what `profile` names; one that is being brought goes on, until the signal aborts that it was begun with. @throws ABORTED */
  fetchProfile(profile: BootProfile, signal: AbortSignal, coming?: ComingStart): Promise<unknown> {
    if (this.#profile?.signal.aborted === false) return this.#profile.over;
    const work = () => this.#passes.passOf('profile', new ProfilePlan(profile, coming), signal);
    const over = this.#busy(work).finally(() => {
      if (this.#profile?.over === over) this.#profile = undefined;
    });
    this.#profile = { over, signal };
    return over;
  }

  #fetchTopLevels(signal: AbortSignal): Promise<unknown> {
    return this.#busy(() => this.#passes.passOf('top', new TopLevels(contentKey(this.#options.root)), signal));
  }

  /**
   * One pass that fetches all, whatever the options say. What has no room ends it as soon as the size is known: for that, what
   * is here is counted first. @throws ABORTED
   */
  fetchAll(signal: AbortSignal): Promise<PassResult> {
    return this.#busy(async () => {
      const counted = await this.#passes.pass(signal, { fetch: false, whole: true });
      return counted.isHere ? counted : await this.#passes.pass(signal, { fetch: true, whole: true, orNothing: true });
    });
  }

  #count(signal: AbortSignal): Promise<unknown> {
    return this.#passes.pass(signal, { fetch: false, whole: this.isWhole });
  }

  /** Passes until all is here, or there is no room for more. */
  async #fetch(signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    for (let failures = 1; ; failures++) {
      const { stopped } = await this.#passes.pass(signal, { fetch: true, whole: this.isWhole });
      if (this.#passes.brought) return;
      const error = this.#passes.lastError;
      if (stopped === 'full') {
        if (this.isWhole) logger.warn({ error }, 'the volume does not fit the cache, and stays in part');
        return;
      }
      if (failures === 1) logger.warn({ error }, 'prefetching will be tried again');
      await this.#next.afterFailures(failures, signal);
    }
  }

  #untilRoom(signal: AbortSignal): Promise<void> {
    const hasRoom = (bytes: number) => this.#options.hasRoom(bytes, this.isWhole);
    return this.#next.withRoom(hasRoom, () => this.#passes.bytesMissing, signal);
  }

  /**
   * Counts again whenever blocks were evicted, and tells again who could not be told that all is here. It fetches nothing: where
   * readers of other volumes need the room more, a volume that took it back would go on for ever. Ends where something is
   * missing of what is pinned: nobody else may have that place.
   */
  async #keepCounted(signal: AbortSignal): Promise<void> {
    const { clock, pins } = this.#options;
    for (let tookMs = 0; ; ) {
      await this.#next.thatCounts(tookMs, signal);
      if (this.#passes.complete) await pins?.retry(signal);
      if (!this.#passes.isUncertain) continue;
      const startedMs = clock.nowMs();
      await this.#count(signal);
      if (pins && !this.#passes.brought) return;
      tookMs = clock.nowMs() - startedMs;
    }
  }

  async #busy<T>(work: () => Promise<T>): Promise<T> {
    this.#fetching++;
    try {
      return await work();
    } finally {
      this.#fetching--;
    }
  }
}
