/**
 * One mounted volume's background work, from mount to unmount: its profile first, then the rest as its options say, again
 * after what failed, until all is here. Interrupted at any point it goes on where it was: what is here is passed over.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { codeOf, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { BlockKey } from '../blocks/block.ts';
import type { BlockTally, Keeper } from '../blocks/block-tally.ts';
import { backoffMs } from '../blocks/queue/backoff.ts';
import { contentKey } from '../unixfs/content-key.ts';
import type { BackgroundSuspects } from './background-suspects.ts';
import type { BootProfile } from './boot-profile.ts';
import { Completeness } from './completeness.ts';
import { type FillOptions, type FillParts, type FillResult, fill } from './fill.ts';
import { pause } from './pause.ts';
import { Plan } from './plan.ts';
import { ProfilePlan } from './profile-plan.ts';
import { TopLevels } from './top-levels.ts';

export interface VolumePrefetchOptions {
  readonly root: CID;
  readonly tally: BlockTally;
  readonly prefetch: 'auto' | 'all' | 'none';
  /** What is here of it is not evicted. */
  readonly pinned: boolean;
  /** Blocks that the cache gave up so far, of whichever volume. */
  readonly evictions: () => number;
  /** Room for so many bytes more, for a volume that is wanted `whole` or else as far as others leave room? */
  readonly hasRoom: (bytes: number, whole: boolean) => boolean;
  /** What to say where a volume that is wanted whole, of so many bytes where that is known, has no room. */
  readonly noRoomText: (bytesTotal: number | null) => string;
  /** For so long the background leaves the link and the processor to a start that is under way. */
  readonly holdMs?: () => number;
  /** Told of each block that is here. */
  readonly onHere?: ((key: BlockKey) => void) | undefined;
  /** Called once all is here. */
  readonly onComplete?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** Where ends of the process are remembered. */
  readonly suspects?: BackgroundSuspects | undefined;
  readonly logger: Logger;
}

/** What became of a pass over all of a volume. */
interface PassResult extends FillResult {
  /** All is here: nothing is missing, and nothing went while the rest came. */
  readonly isHere: boolean;
}

/** What others' blocks pushed out is noticed within this, and with less than two per cent of the processor's time. */
const RECOUNT_MS = 60_000;
const RECOUNT_SHARE = 50;
/** Between two passes over what could not be had: the first soon, since an outage is often over soon. */
const RETRY = { firstMs: 5000, maxMs: 300_000 };
/** Room in the cache comes with an eviction or the end of another volume. */
const FULL_RETRY_MS = 60_000;
const ROOM_WORTH_A_PASS_BYTES = 64 * 1024 * 1024;

export class VolumePrefetch {
  readonly #parts: FillParts;
  readonly #options: VolumePrefetchOptions;
  readonly #here: Completeness;
  /** Runs and calls that fetch at this moment, or will again after a failure. */
  #fetching = 0;
  #lastError: string | null = null;
  #lastErrorMs = 0;
  /** The latest pass ended for want of room. */
  #isFull = false;
  /** Aborts where a count is due at once. */
  #doubt = new AbortController();
  /** All was here, and who is to keep it could not be told. */
  #isUntold = false;
  #profile: { readonly over: Promise<unknown>; readonly signal: AbortSignal } | undefined;

  constructor(parts: FillParts, options: VolumePrefetchOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#here = new Completeness(options.tally, options.evictions);
  }

  /** Null until every directory is known. */
  get bytesTotal(): number | null {
    return this.#here.bytesTotal;
  }

  get complete(): boolean {
    return this.#here.complete;
  }

  /** True while something is being fetched, or will be again after a failure. */
  get prefetching(): boolean {
    return this.#fetching > 0;
  }

  /** Why the latest pass did not bring all; null where it did, or where none has ended. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** When that was, by the clock. */
  get lastErrorMs(): number {
    return this.#lastErrorMs;
  }

  /** All of it is wanted, and not as far as there is room. */
  get isWhole(): boolean {
    return this.#options.prefetch === 'all';
  }

  /** True where the latest pass ended for want of room. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Blocks were evicted: counts anew what is left, in the local store or of others in the cache. @throws ABORTED */
  async recount(signal: AbortSignal): Promise<void> {
    this.#here.forget();
    await this.#pass(signal, false, false);
  }

  /** Counts what is here, of a volume that nobody uses: pins nothing, and leaves the thread to others for `rest`. @throws ABORTED */
  async count(signal: AbortSignal, rest: FillOptions['rest']): Promise<void> {
    const { root } = this.#options;
    const pass = this.#here.begin(false);
    const options: FillOptions = {
      ...this.#fillOptions('background', signal, false, false),
      tally: pass.tally,
      rest,
      onHere: () => {},
    };
    const work = () => this.#fillAll(options);
    // What is missing is not looked at, and is no reason to suspect the rest.
    this.#here.end(pass, await this.#guarded(`count/${root}`, signal, work, () => true));
  }

  /** As `Completeness.gone`. */
  gone(key: BlockKey, sizeBytes: number, kept: boolean, from?: Keeper): void {
    this.#here.gone(key, sizeBytes, kept, from);
  }

  /** Blocks went, or came, that nobody named: what is here is counted at once, where nothing else is under way. */
  countAgain(): void {
    this.#here.doubt();
    this.#doubt.abort();
  }

  /**
   * Runs until all is here, nothing more is to be fetched, or `signal` aborts. The profile comes at once, the rest no
   * sooner than after `settleMs`. Never rejects.
   */
  async run(profile: BootProfile | undefined, signal: AbortSignal, settleMs: number): Promise<void> {
    const { prefetch, logger } = this.#options;
    const { clock } = this.#parts;
    const whole = prefetch === 'all';
    const settledMs = clock.nowMs() + settleMs;
    const settled = async () => {
      const leftMs = settledMs - clock.nowMs();
      if (leftMs > 0) await pause(clock, leftMs, signal);
    };
    try {
      if (prefetch === 'none') {
        await settled();
        await this.#pass(signal, false, whole);
        return await this.#keepCounted(signal, whole);
      }
      // Mount is answered first.
      await nextTurn();
      await this.#busy(async () => {
        if (profile) await this.fetchProfile(profile, signal);
        // Nobody waits for one that nobody has.
        else if (settleMs > 0) void this.#busy(() => this.#fetchTopLevels(signal, whole)).catch(() => undefined);
        await settled();
        // What is here stands anywhere in it, and behind what is missing it would be counted in hours.
        await this.#pass(signal, false, whole);
      });
      for (;;) {
        while (!this.#here.brought) {
          await this.#busy(() => this.#retried(signal, whole));
          if (!this.#here.brought) await this.#untilRoom(signal, whole);
        }
        await this.#keepCounted(signal, whole);
      }
    } catch (error) {
      if (!signal.aborted && codeOf(error) !== 'ABORTED') {
        this.#failed(messageChain(error));
        logger.error({ error: messageChain(error) }, 'prefetching ended by a defect');
      }
    }
  }

  /** Brings what `profile` names; one that is being brought goes on, until the signal aborts that it was begun with. @throws ABORTED */
  fetchProfile(profile: BootProfile, signal: AbortSignal): Promise<unknown> {
    if (this.#profile?.signal.aborted === false) return this.#profile.over;
    const options = this.#fillOptions('profile', signal, true, this.#options.prefetch === 'all');
    const work = () => fill(this.#parts, new ProfilePlan(profile), options);
    const over = this.#busy(() => this.#guarded(`profile/${this.#options.root}`, signal, work)).finally(() => {
      if (this.#profile?.over === over) this.#profile = undefined;
    });
    this.#profile = { over, signal };
    return over;
  }

  #fetchTopLevels(signal: AbortSignal, whole: boolean): Promise<FillResult> {
    const { root } = this.#options;
    const options = this.#fillOptions('profile', signal, true, whole);
    return this.#guarded(`top/${root}`, signal, () => fill(this.#parts, new TopLevels(contentKey(root)), options));
  }

  /**
   * One pass that fetches all, whatever the options say. What has no room ends it as soon as the size is known: for that, what
   * is here is counted first. @throws ABORTED
   */
  fetchAll(signal: AbortSignal): Promise<PassResult> {
    return this.#busy(async () => {
      const counted = await this.#pass(signal, false, true);
      return counted.isHere ? counted : await this.#pass(signal, true, true, true);
    });
  }

  /** Passes until all is here, or there is no room for more. */
  async #retried(signal: AbortSignal, whole: boolean): Promise<void> {
    const { logger } = this.#options;
    for (let failures = 1; ; failures++) {
      const { stopped } = await this.#pass(signal, true, whole);
      if (this.#here.brought) return;
      if (stopped === 'full') {
        if (whole) logger.warn({ error: this.#lastError }, 'the volume does not fit the cache, and stays in part');
        return;
      }
      if (failures === 1) logger.warn({ error: this.#lastError }, 'prefetching will be tried again');
      await pause(this.#parts.clock, backoffMs(RETRY, failures, Math.random), signal);
    }
  }

  async #untilRoom(signal: AbortSignal, whole: boolean): Promise<void> {
    const { hasRoom, tally } = this.#options;
    // A small cache never has that much, and less is enough for what is nearly whole.
    const worthAPass = () =>
      Math.min(ROOM_WORTH_A_PASS_BYTES, Math.max(0, (this.bytesTotal ?? Number.POSITIVE_INFINITY) - tally.bytesHere));
    do await pause(this.#parts.clock, FULL_RETRY_MS, signal);
    while (!hasRoom(worthAPass(), whole));
  }

  /**
   * Counts again whenever blocks were evicted, and tells again who could not be told that all is here. It fetches nothing: where
   * readers of other volumes need the room more, a volume that took it back would go on for ever. Ends where something is
   * missing of what is pinned: nobody else may have that place.
   */
  async #keepCounted(signal: AbortSignal, whole: boolean): Promise<void> {
    const { clock } = this.#parts;
    for (let tookMs = 0; ; ) {
      await this.#untilDoubt(Math.max(RECOUNT_MS, tookMs * RECOUNT_SHARE), signal);
      if (this.#isUntold && this.complete) await this.#tell(signal);
      if (!this.#here.isUncertain) continue;
      const startedMs = clock.nowMs();
      await this.#pass(signal, false, whole);
      if (this.#options.pinned && !this.#here.brought) return;
      tookMs = clock.nowMs() - startedMs;
    }
  }

  /** For so long, or until blocks went or came that nobody named. @throws ABORTED */
  async #untilDoubt(delayMs: number, signal: AbortSignal): Promise<void> {
    try {
      await pause(this.#parts.clock, delayMs, AbortSignal.any([signal, this.#doubt.signal]));
    } catch (error) {
      if (signal.aborted) throw error;
    }
    this.#doubt = new AbortController();
  }

  /** One pass over all of the volume. @throws ABORTED */
  async #pass(signal: AbortSignal, fetch: boolean, whole: boolean, orNothing = false): Promise<PassResult> {
    const { root, tally, hasRoom } = this.#options;
    const pass = this.#here.begin(fetch);
    const options = this.#fillOptions('background', signal, fetch, whole);
    const onTotal = (bytes: number) => {
      this.#here.claimed(bytes);
      return !orNothing || hasRoom(bytes - tally.bytesHere, whole);
    };
    const work = () => this.#fillAll({ ...options, tally: pass.tally, onTotal });
    const preferOthers = fetch && whole ? this.#parts.cache.preferNew() : undefined;
    const result = await this.#guarded(`${root}`, signal, work).finally(preferOthers);
    if (this.#here.isOvertaken(pass)) return this.#pass(signal, fetch, whole);
    this.#here.end(pass, result);
    if (fetch || this.#here.brought) this.#isFull = result.stopped === 'full';
    if (whole && result.stopped === 'full') this.#failed(this.#options.noRoomText(this.bytesTotal));
    else this.#failed(result.lastError === undefined ? null : messageChain(result.lastError));
    const isHere = this.complete;
    if (isHere) await this.#tell(signal);
    return { ...result, isHere };
  }

  /** By a plan of all, whose marks stand beside what its tally says is here. */
  async #fillAll(options: FillOptions): Promise<FillResult> {
    const { marks, giveBack } = options.tally.lendMarks();
    const plan = new Plan(contentKey(this.#options.root), marks);
    try {
      return await fill(this.#parts, plan, options);
    } finally {
      plan.end();
      giveBack();
    }
  }

  /** That all is here; said once where it fails. */
  async #tell(signal: AbortSignal): Promise<void> {
    const { onComplete, logger } = this.#options;
    try {
      await onComplete?.(signal);
      this.#isUntold = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!this.#isUntold)
        logger.warn({ error: messageChain(error) }, 'the volume is here, and could not be pinned: trying again');
      this.#isUntold = true;
    }
  }

  #failed(error: string | null): void {
    this.#lastError = error;
    this.#lastErrorMs = this.#parts.clock.nowMs();
  }

  /** Nothing else says of a pass that no daemon will end of it than that it went through everything. */
  #guarded(
    what: string,
    signal: AbortSignal,
    work: () => Promise<FillResult>,
    isWell = ({ missing, stopped }: FillResult) => missing === 0 && !stopped,
  ): Promise<FillResult> {
    const { suspects } = this.#options;
    return suspects ? suspects.guard(what, signal, work, isWell) : work();
  }

  #fillOptions(priority: FillOptions['priority'], signal: AbortSignal, fetch: boolean, whole: boolean): FillOptions {
    const { tally, hasRoom, holdMs, onHere } = this.#options;
    return {
      priority,
      tally,
      signal,
      fetch,
      // What a start needs, readers would fetch by themselves a moment later: into what is left for them.
      hasRoom: (bytes) => hasRoom(bytes, whole || priority === 'profile'),
      ...(holdMs && priority === 'background' ? { holdMs } : {}),
      ...(onHere ? { onHere } : {}),
      onTotal: (bytes) => this.#here.claimed(bytes),
    };
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
