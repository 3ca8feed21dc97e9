/**
 * The one queue through which every block comes that is not on this machine.
 *
 * How a want goes: it waits at the source that is cheapest among those that do well (`SourceLane`), by priority, is sent,
 * and what comes is verified. A source that says no, lies or fails is followed by the next at once; a reader's want that
 * is slower than usual is sent to the next one besides (a hedge; the first good answer wins). Sources that failed are
 * asked again, with back-off, as long as someone waits.
 *
 * What always holds:
 * - one want per block, whoever asks, and never two requests for it at one source;
 * - it has the priority of the most urgent one who waits, and is cancelled when the last of them leaves;
 * - it fails as soon as every source has said its last word (BLOCK_UNAVAILABLE, or what a lying one earned), and for each
 *   caller when its own time-out passes (BLOCK_TIMEOUT);
 * - when all callers are answered, no timer, listener or entry is left.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../base/errors.ts';
import { type Backoff, backoffMs } from '../backoff.ts';
import { type BlockKey, blockKey, MAX_BLOCK_BYTES } from '../block.ts';
import type { WantOptions } from '../block-reader.ts';
import type { DagScope } from '../block-source.ts';
import { type Clock, systemClock } from '../clock.ts';
import { PRIORITIES, PRIORITY_RANK, type Priority } from '../priority.ts';
import type { SourceStatus } from '../source-status.ts';
import type { Outcome } from './attempt.ts';
import { chooseLane } from './choose-lane.ts';
import { Dispatcher, FIRST_PREFETCH_RANK } from './dispatcher.ts';
import type { LaneJob } from './job-list.ts';
import { RangeFetch, type RangeOptions } from './range-fetch.ts';
import { refusalOf, stopping } from './refusal.ts';
import { sendWant } from './send-want.ts';
import { SourceLane } from './source-lane.ts';
import { TokenBucket } from './token-bucket.ts';
import { type FetchedBlock, type Settle, Waiter } from './waiter.ts';
import { Want } from './want.ts';
import type { OnVerified, WantQueueOptions } from './want-queue-options.ts';
import { WantStats } from './want-stats.ts';

/** A third of the default read time-out: a dead connection leaves time for two more tries. What comes, if slowly, is not dead. */
const ATTEMPT_TIMEOUT_MS = 20_000;
/** The next try of a want at a source that failed it: first soon, then no more often than a person would reload. */
const RETRY: Backoff = { firstMs: 100, maxMs: 5000 };

export class WantQueue {
  readonly #lanes: readonly SourceLane[];
  readonly #wants = new Map<BlockKey, Want>();
  readonly #ranges: RangeFetch;
  readonly #dispatcher: Dispatcher;
  readonly #stats = new WantStats();
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #timeoutMs: number;
  readonly #onVerified: OnVerified;
  #closed = false;

  constructor(options: WantQueueOptions) {
    const { sources, prefetchBytesPerSecond, attemptTimeoutMs = ATTEMPT_TIMEOUT_MS, logger } = options;
    const clock = options.clock ?? systemClock;
    const random = options.random ?? Math.random;
    this.#clock = clock;
    this.#random = random;
    this.#timeoutMs = options.timeoutMs;
    this.#onVerified = options.onVerified ?? (() => {});
    this.#lanes = sources.map((source) => new SourceLane(source, clock, random, attemptTimeoutMs, logger));
    this.#dispatcher = new Dispatcher({
      clock,
      bucket: prefetchBytesPerSecond === undefined ? undefined : new TokenBucket(prefetchBytesPerSecond, clock),
      start: (job, lane) => this.#start(job, lane),
      reconsider: (job, lane) => this.#reconsider(job, lane),
    });
    this.#ranges = new RangeFetch({
      lanes: this.#lanes,
      clock,
      timeoutMs: options.timeoutMs,
      idleTimeoutMs: attemptTimeoutMs,
      pump: (lane) => this.#dispatcher.pump(lane),
      charge: (rank, bytes) => {
        if (rank >= FIRST_PREFETCH_RANK) this.#dispatcher.charge(bytes);
      },
      deliver: (cid, bytes, rank, origin) => this.#deliver(cid, bytes, rank, origin),
    });
  }

  /** One line a source, cheapest first. */
  get sources(): readonly SourceStatus[] {
    return this.#lanes.map((lane) => lane.status);
  }

  /** Wants, blocks, bytes and waits by priority since the start. */
  get stats() {
    return this.#stats.snapshot();
  }

  /** Blocks that somebody waits for, by the most urgent one who does. */
  get waiting(): Readonly<Record<Priority, number>> {
    const counts = Object.fromEntries(PRIORITIES.map((priority) => [priority, 0])) as Record<Priority, number>;
    for (const { rank } of this.#wants.values()) counts[PRIORITIES[rank] ?? 'demand']++;
    return counts;
  }

  /** Wants and ranges that somebody waits for. */
  get pending(): number {
    return this.#wants.size + this.#ranges.pending;
  }

  /**
   * The block, verified, from whichever source has it.
   * Rejects with BLOCK_UNAVAILABLE, BLOCK_TIMEOUT, BLOCK_CORRUPT, BLOCK_TOO_LARGE or ABORTED; the message names the CID
   * and what each source said.
   */
  want(cid: CID, options: WantOptions): Promise<FetchedBlock> {
    const { promise, resolve, reject } = Promise.withResolvers<FetchedBlock>();
    const refusal = this.#refusal(cid, options.signal);
    if (refusal) return Promise.reject(refusal);
    const key = blockKey(cid);
    let want = this.#wants.get(key);
    if (want === undefined) {
      want = new Want(cid);
      this.#wants.set(key, want);
    }
    const rank = PRIORITY_RANK[options.priority];
    // A link may claim anything; no block is larger.
    if (options.expectedBytes !== undefined) want.expectedBytes ??= Math.min(options.expectedBytes, MAX_BLOCK_BYTES);
    this.#stats.wanted(rank);
    this.#addWaiter(want, rank, options, { resolve, reject });
    this.#reprioritise(want);
    this.#advance(want);
    return promise;
  }

  /**
   * The blocks of `scope`, from `root` on, as one request, where the source that comes first can and is in good health: what is
   * much more than the scope can be is not taken. Each verified block goes to `onVerified`, to whoever wants it, and to `onBlock`.
   * Resolves with their number; never rejects. Callers of the same scope share one request.
   */
  wantRange(root: CID, scope: DagScope, options: RangeOptions): Promise<number> {
    if (this.#refusal(root, options.signal)) return Promise.resolve(0);
    return this.#ranges.fetch(root, scope, options);
  }

  /** A verified block that came by another way than a source: whoever waits for it has it. */
  offer(cid: CID, bytes: Uint8Array, origin: string): void {
    const want = this.#wants.get(blockKey(cid));
    if (want) this.#answer(want, { bytes, origin });
  }

  /** Rejects whoever waits with ABORTED, ends all requests, closes the sources. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#dispatcher.close();
    for (const want of [...this.#wants.values()]) this.#fail(want, stopping());
    this.#ranges.close();
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }

  #refusal(cid: CID, signal: AbortSignal | undefined): CodedError | undefined {
    return this.#closed ? stopping() : refusalOf(cid, signal, this.#lanes.length);
  }

  #addWaiter(want: Want, rank: number, options: WantOptions, settle: Settle): void {
    const { signal, timeoutMs = this.#timeoutMs, limitMs = timeoutMs } = options;
    const waiter = new Waiter(rank, rank === 0 || options.awaited === true, this.#clock, settle);
    waiter.limit(timeoutMs, () => {
      // Held back for others and never sent: that is no fault of any source.
      if (rank >= FIRST_PREFETCH_RANK && want.isHeldBack(this.#lanes)) return true;
      if (want.waiters.has(waiter)) this.#stats.failed(rank);
      this.#leave(want, waiter, want.timedOut(limitMs, this.#lanes));
      return false;
    });
    if (signal) {
      waiter.listen(signal, () =>
        this.#leave(want, waiter, new CodedError('ABORTED', `the wait for block ${want.cid} was given up`)),
      );
    }
    want.add(waiter);
  }

  #leave(want: Want, waiter: Waiter, error: CodedError): void {
    if (!want.remove(waiter)) return;
    waiter.reject(error);
    if (want.waiters.size > 0) this.#reprioritise(want);
    else this.#end(want);
  }

  /** Puts a waiting want into the list of its present priority. */
  #reprioritise(want: Want): void {
    const lane = want.list && this.#lanes.find((each) => each.requeue(want));
    if (lane) this.#dispatcher.pump(lane);
  }

  /** Lets the want wait at the source it is to be sent to next, unless it waits or is on its way already. */
  #advance(want: Want): void {
    if (want.waiters.size === 0 || want.list || want.onItsWay) return;
    const hedge = want.attempts.size > 0;
    // Only what a reader waits for is worth a second request; one of less urgency waits for room, as any does.
    if (hedge && !want.awaited) return;
    const lane = chooseLane(want, this.#lanes);
    if (lane === undefined) {
      if (!hedge) this.#fail(want, want.verdict(this.#lanes));
      return;
    }
    const pauseMs = want.answers.has(lane) ? want.retryAtMs - this.#clock.nowMs() : 0;
    if (pauseMs > 0) {
      want.stopRetry?.();
      want.stopRetry = this.#clock.schedule(pauseMs, () => this.#advance(want));
      return;
    }
    lane.enqueue(want);
    this.#dispatcher.pump(lane);
  }

  /** Sends a job whose turn has come at `lane`. */
  #start(job: LaneJob, lane: SourceLane): void {
    if (!(job instanceof Want)) this.#ranges.begin(job, lane);
    // The source may have begun to fail, or a better one to work, while it waited.
    else if (chooseLane(job, this.#lanes) === lane) this.#send(job, lane);
    else this.#advance(job);
  }

  /** A job that waits at `lane` may be better off elsewhere. */
  #reconsider(job: LaneJob, lane: SourceLane): void {
    if (!(job instanceof Want)) return;
    const better = chooseLane(job, this.#lanes);
    if (better === undefined || better === lane) return;
    job.leave();
    this.#advance(job);
  }

  #send(want: Want, lane: SourceLane): void {
    sendWant(want, lane, this.#dispatcher, {
      slow: () => {
        this.#advance(want);
        this.#dispatcher.pump(lane);
      },
      ended: (outcome) => this.#ended(want, lane, outcome),
    });
  }

  #ended(want: Want, lane: SourceLane, outcome: Outcome): void {
    want.over(lane);
    if (outcome.kind === 'block') {
      this.#deliver(want.cid, outcome.bytes, want.rank, lane.source.name);
    } else {
      want.heard(lane, outcome);
      // It may stand in line elsewhere for a second request, and this may change where it is best asked for.
      want.leave();
      if (outcome.kind === 'failed' || outcome.kind === 'silent') {
        want.failures++;
        want.retryAtMs = this.#clock.nowMs() + backoffMs(RETRY, want.failures, this.#random);
      }
      this.#advance(want);
    }
    this.#dispatcher.pump(lane);
  }

  /** A verified block, asked for or come along in a range: to the sink, then to whoever waits for it. */
  #deliver(cid: CID, bytes: Uint8Array, rank: number, origin: string): void {
    const want = this.#wants.get(blockKey(cid));
    // A range brings what somebody may wait for with more urgency than for the range.
    const urgency = Math.min(rank, want?.rank ?? rank);
    this.#stats.fetched(urgency, bytes.length);
    this.#onVerified(cid, bytes, PRIORITIES[urgency] ?? 'demand');
    if (want) this.#answer(want, { bytes, origin });
  }

  #answer(want: Want, block: FetchedBlock): void {
    const nowMs = this.#clock.nowMs();
    for (const waiter of want.dismiss()) {
      this.#stats.answered(waiter.rank, nowMs - waiter.sinceMs);
      waiter.resolve(block);
    }
    this.#end(want);
  }

  #fail(want: Want, error: CodedError): void {
    for (const waiter of want.dismiss()) {
      if (error.code !== 'ABORTED') this.#stats.failed(waiter.rank);
      waiter.reject(error);
    }
    this.#end(want);
  }

  #end(want: Want): void {
    const lanes = [...want.attempts.keys()];
    want.stop();
    this.#wants.delete(blockKey(want.cid));
    for (const lane of lanes) this.#dispatcher.pumpSoon(lane);
  }
}
