/**
 * Ranges of files, and small trees, in one answer each, from sources that can (`RangeSource`).
 *
 * A range brings along what it brings: each block is verified and delivered as it comes, and nothing is ever missing for
 * good, since whoever needs a block that did not come wants it by itself. So a range is not retried, and its failure is
 * no error. A block that does not match its CID ends it.
 */
import type { CID } from 'multiformats/cid';
import { codeOf, messageChain } from '../../base/errors.ts';
import { blockKey, MAX_BLOCK_BYTES } from '../block.ts';
import type { WantOptions } from '../block-reader.ts';
import { type DagScope, isRangeSource, scopeBytes } from '../block-source.ts';
import type { Clock } from '../clock.ts';
import { PRIORITIES, PRIORITY_RANK } from '../priority.ts';
import { verifyBlock } from '../verify.ts';
import { AttemptLimit } from './attempt-limit.ts';
import { Job, type LaneJob } from './job-list.ts';
import type { SourceLane } from './source-lane.ts';

/**
 * For the first block, unless it is on its way. A range has no hedge, so that whoever waits for it would wait for a source
 * that hangs while another is well: after this the blocks are wanted one by one, which have.
 */
const FIRST_BLOCK_MS = 5000;

export interface RangeOptions extends WantOptions {
  /** Told of each verified block, for the caller's own accounts. */
  readonly onBlock?: ((cid: CID, bytes: Uint8Array, origin: string) => void) | undefined;
}

interface RangeFetchOptions {
  readonly lanes: readonly SourceLane[];
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** For each further block, unless it is on its way. */
  readonly idleTimeoutMs: number;
  readonly pump: (lane: SourceLane) => void;
  /** Told what a range of that rank takes of the prefetch rate: `bytes`, or some given back. */
  readonly charge: (rank: number, bytes: number) => void;
  readonly deliver: (cid: CID, bytes: Uint8Array, rank: number, origin: string) => void;
}

/** A range, or a tree, someone waits for: at a lane's list until `begin`, then on the wire. */
class Range extends Job implements LaneJob {
  readonly key: string;
  readonly root: CID;
  readonly scope: DagScope;
  rank: number;
  count = 0;
  readonly controller = new AbortController();
  readonly callers = new Set<{ options: RangeOptions; done: (count: number) => void }>();

  constructor(key: string, root: CID, scope: DagScope, rank: number) {
    super();
    this.key = key;
    this.root = root;
    this.scope = scope;
    this.rank = rank;
  }

  get expectedBytes(): number {
    return scopeBytes(this.scope);
  }

  /**
   * More than this is not an answer to the question. Of a tree that is what it claims, and a block more. Of a range it is
   * twice the range, for the blocks that reach over its ends and the inner nodes (under 1 % of what they lead to), and four
   * blocks' worth for ranges of a few bytes in a deep DAG.
   */
  get maxBytes(): number {
    if ('treeBytes' in this.scope) return this.scope.treeBytes + MAX_BLOCK_BYTES;
    return 2 * this.expectedBytes + 4 * MAX_BLOCK_BYTES;
  }
}

export class RangeFetch {
  readonly #options: RangeFetchOptions;
  readonly #ranges = new Map<string, Range>();

  constructor(options: RangeFetchOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#ranges.size;
  }

  /** As `WantQueue.wantRange`. */
  fetch(root: CID, scope: DagScope, options: RangeOptions): Promise<number> {
    const what = 'treeBytes' in scope ? 'tree' : `${scope.from}:${scope.to}`;
    const key = `${what}:${blockKey(root)}:${scope.entry ?? ''}`;
    const rank = PRIORITY_RANK[options.priority];
    const former = this.#ranges.get(key);
    if (former) return this.#lift(former, rank, options);
    const lane = preferred(this.#options.lanes);
    if (!lane?.takesRanges || !isRangeSource(lane.source)) return Promise.resolve(0);
    const range = new Range(key, root, scope, rank);
    this.#ranges.set(key, range);
    const promise = this.#join(range, options);
    lane.enqueue(range);
    this.#options.pump(lane);
    return promise;
  }

  /** Sends a range that left the lane's list; lets it go where the source began to fail, or says nothing to others, while it waited. */
  begin(job: LaneJob, lane: SourceLane): void {
    if (!(job instanceof Range)) return;
    if (lane.takesRanges) void this.#run(job, lane);
    else this.#finish(job);
  }

  close(): void {
    for (const range of [...this.#ranges.values()]) this.#finish(range);
  }

  #lift(range: Range, rank: number, options: RangeOptions): Promise<number> {
    range.rank = Math.min(range.rank, rank);
    const promise = this.#join(range, options);
    const lane = this.#options.lanes.find((each) => each.requeue(range));
    if (lane) this.#options.pump(lane);
    return promise;
  }

  #join(range: Range, options: RangeOptions): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const { signal, timeoutMs = this.#options.timeoutMs } = options;
    const leave = () => {
      caller.done(range.count);
      if (range.callers.size === 0) this.#finish(range);
    };
    const stopTimer = this.#options.clock.schedule(timeoutMs, leave);
    const caller = {
      options,
      done: (count: number) => {
        stopTimer();
        signal?.removeEventListener('abort', leave);
        range.callers.delete(caller);
        resolve(count);
      },
    };
    signal?.addEventListener('abort', leave, { once: true });
    range.callers.add(caller);
    return promise;
  }

  /** Answers whoever waits and ends the request. */
  #finish(range: Range): void {
    if (this.#ranges.get(range.key) === range) this.#ranges.delete(range.key);
    range.leave();
    range.controller.abort();
    for (const caller of [...range.callers]) caller.done(range.count);
  }

  async #run(range: Range, lane: SourceLane): Promise<void> {
    const { signal } = range.controller;
    const { rank, expectedBytes } = range;
    this.#options.charge(rank, expectedBytes);
    let cameBytes = 0;
    const flight = lane.begin(PRIORITIES[range.rank] ?? 'demand', range.expectedBytes);
    const { rangePatience } = lane;
    rangePatience.sent();
    let idle = false;
    const blockBytes = Math.min(range.expectedBytes, MAX_BLOCK_BYTES);
    const watch = (limitMs: number) =>
      new AttemptLimit(this.#options.clock, limitMs, blockBytes, () => {
        idle = true;
        this.#finish(range);
      });
    let limit = watch(Math.min(FIRST_BLOCK_MS, this.#options.idleTimeoutMs));
    const onBytes = (count: number) => {
      limit.came(count);
      flight.moved();
      lane.heard();
      cameBytes += count;
    };
    const rootKey = blockKey(range.root);
    let rootCame = false;
    const onBlock = (cid: CID, bytes: number) => {
      flight.came(bytes);
      if (!rootCame && blockKey(cid) === rootKey) {
        rootCame = true;
        rangePatience.answered();
      }
      limit.stop();
      limit = watch(this.#options.idleTimeoutMs);
      // Others may follow it before it is over: its last block would be a round trip ahead of their first one.
      this.#options.pump(lane);
    };
    try {
      await this.#receive(range, lane, onBytes, onBlock);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'BLOCK_CORRUPT' || code === 'BLOCK_TOO_LARGE')
        lane.fault('lied', messageChain(error), flight.startedAtMs);
      else if (idle) lane.health.silent();
      else if (!signal.aborted && code !== 'BLOCK_UNAVAILABLE')
        lane.fault('failed', messageChain(error), flight.startedAtMs);
    } finally {
      if (range.count > 0 && !rootCame) rangePatience.othersCame(flight.startedAtMs);
      else if (!signal.aborted) rangePatience.answered();
      else if (range.count === 0) rangePatience.nothingCame(flight.startedAtMs);
      limit.stop();
      flight.end(undefined);
      this.#options.charge(rank, cameBytes - expectedBytes);
      this.#finish(range);
      this.#options.pump(lane);
    }
  }

  async #receive(
    range: Range,
    lane: SourceLane,
    onBytes: (count: number) => void,
    onBlock: (cid: CID, bytes: number) => void,
  ): Promise<void> {
    const { signal } = range.controller;
    const { source } = lane;
    if (!isRangeSource(source)) return;
    const priority = PRIORITIES[range.rank] ?? 'demand';
    let bytesLeft = range.maxBytes;
    for await (const { cid, bytes } of source.getRange(range.root, range.scope, { signal, priority, onBytes })) {
      if (signal.aborted) return;
      verifyBlock(cid, bytes);
      // One that sends nothing, again and again, comes to an end as well.
      bytesLeft -= Math.max(1, bytes.length);
      if (bytesLeft < 0) return;
      onBlock(cid, bytes.length);
      range.count++;
      lane.received(bytes.length);
      this.#options.deliver(cid, bytes, range.rank, source.name);
      for (const { options } of range.callers) options.onBlock?.(cid, bytes, source.name);
    }
  }
}

/**
 * Where a want would go. Where that source sends no ranges, a dearer one that does is not asked for what the cheaper may
 * have: a public gateway for what stands in the Kubo node beside us.
 */
function preferred(lanes: readonly SourceLane[]): SourceLane | undefined {
  let best: SourceLane | undefined;
  for (const lane of lanes) if (lane.isWell && (!best || lane.demotion < best.demotion)) best = lane;
  return best;
}
