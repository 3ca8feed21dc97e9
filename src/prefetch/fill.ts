/**
 * Works through a plan once: counts what is here, fetches what is not, opens what leads further.
 *
 * What always holds:
 * - A block that is here is never asked for; of the rest a bounded number is on its way. The want queue decides when each
 *   goes out: behind every reader, within the rate.
 * - Failures slow it down, doubling, and enough of them in a row end it: whoever runs it comes back later. Each block
 *   that could not be had is counted, and the others are brought none the less.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CodedError, codeOf } from '../base/errors.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { BlockKey } from '../blocks/block.ts';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import type { BlockStore } from '../blocks/block-store.ts';
import type { BlockTally } from '../blocks/block-tally.ts';
import type { Clock } from '../blocks/clock.ts';
import { spaceOf } from '../blocks/disk/disk-total.ts';
import { backoffMs } from '../blocks/queue/backoff.ts';
import type { SharedBound } from '../fs/shared-bound.ts';
import { blockKeyOf, type ContentKey, cidOf, isInline } from '../unixfs/content-key.ts';
import { leafOnDisk } from '../unixfs/leaf-ends.ts';
import { decodeUnixfsEntry, type UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import type { BlockPlan, PlannedBlock } from './plan.ts';

export interface FillCache extends Pick<BlockStore, 'has'> {
  /** Bytes that wait to be written. */
  readonly waitingBytes: number;
  /** Until what it gives is called, what comes is kept before whatever was used longer ago. */
  preferNew(): () => void;
}

export interface FillParts {
  readonly blocks: BlockReader;
  /** What is here and may be evicted. */
  readonly cache: FillCache;
  readonly clock: Clock;
  /** Bytes on their way here, of all fills that run beside each other; one that runs alone has its own bound. */
  readonly underWay?: SharedBound<object>;
}

export interface FillOptions {
  readonly priority: 'profile' | 'background';
  readonly tally: BlockTally;
  readonly signal: AbortSignal;
  /** False: only what is here is looked at. */
  readonly fetch: boolean;
  /** Room for so many bytes more? Asked before each fetch; the first no ends the fill as `full`. */
  readonly hasRoom?: (bytes: number) => boolean;
  /** For so long nothing more is asked for; looked at before each fetch. */
  readonly holdMs?: () => number;
  /** After each turn of the event loop that it took, of so many ms; otherwise the next turn is its own, too. */
  readonly rest?: ((tookMs: number) => Promise<void>) | undefined;
  /** Told of each block that is here or came. */
  readonly onHere?: ((key: BlockKey) => void) | undefined;
  /** Told what the plan's blocks measure together, as soon as that is known; `false` ends the fill as `full`. */
  readonly onTotal?: (bytes: number) => unknown;
}

export interface FillResult {
  /** Blocks that are not here; what they lead to is not counted. */
  readonly missing: number;
  /** Why it ended before the plan did. */
  readonly stopped: 'full' | 'failing' | undefined;
  readonly lastError: unknown;
}

/** Wants outstanding: what one source takes at this priority; more would only wait in another place. */
const MAX_OUTSTANDING = 256;
/**
 * Bytes on their way here and from here to the disk. A disk that is slower than the link sets the pace then: what comes
 * beyond the cache's 24 MiB of waiting blocks would not be kept, and be fetched again.
 */
const MAX_UNWRITTEN_BYTES = 20 * 1024 * 1024;
/** Of all fills together, on their way here: one alone has its 20 MiB of it. */
export const MAX_UNDER_WAY_BYTES = 32 * 1024 * 1024;
/** The disk is looked at again after this. */
const WRITE_PAUSE_MS = 20;
/** A want may wait long behind readers and the rate: this bounds what a silent source holds up. */
const WANT_TIMEOUT_MS = 5 * 60_000;
const FAILURE_BACKOFF = { firstMs: 100, maxMs: 30_000 };
/** With the pauses between them a minute or more of nothing but failures. */
const FAILURES_IN_A_ROW = 32;
/** Of blocks that came and are not kept: a disk that is full stays so for days, and each block is paid for. */
const NOT_KEPT_IN_A_ROW = 4;
/** Blocks looked at in one turn of the event loop: about a millisecond, where they lead nowhere. */
const BLOCKS_PER_TURN = 200;
/** And no longer than this, as with directories of a thousand names: Docker's calls and readers wait so long. */
const TURN_MS = 2;
/** What a block is taken for whose size nobody claims. */
const GUESSED_BLOCK_BYTES = 256 * 1024;

/** One pass. @throws ABORTED */
export async function fill(parts: FillParts, plan: BlockPlan, options: FillOptions): Promise<FillResult> {
  return await new Pass(parts, plan, options).run();
}

class Pass {
  readonly #parts: FillParts;
  readonly #plan: BlockPlan;
  readonly #options: FillOptions;
  readonly #want: WantOptions;
  #outstanding = 0;
  #outstandingBytes = 0;
  #wake: () => void = () => {};
  #missing = 0;
  #stopped: FillResult['stopped'];
  #lastError: unknown;
  #failuresInARow = 0;
  #pausedUntilMs = 0;
  #innerBytes = 0;
  /** Ends what is on its way where it is for nothing. */
  readonly #ended = new AbortController();

  constructor(parts: FillParts, plan: BlockPlan, options: FillOptions) {
    this.#parts = parts;
    this.#plan = plan;
    this.#options = options;
    const { priority, signal, tally } = options;
    const account: WantOptions['account'] = (cid, sizeBytes, how) => tally.add(cid, sizeBytes, how);
    this.#want = {
      priority,
      signal: AbortSignal.any([signal, this.#ended.signal]),
      timeoutMs: WANT_TIMEOUT_MS,
      account,
    };
  }

  async run(): Promise<FillResult> {
    const { signal } = this.#options;
    const onAbort = () => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      let totalTold = false;
      let turnMs = performance.now();
      for (let turn = 1; !this.#stopped; turn++) {
        if (signal.aborted) throw new CodedError('ABORTED', 'the prefetch was ended');
        if (!totalTold && this.#plan.metadataDone) {
          totalTold = true;
          const totalBytes = this.#innerBytes + this.#plan.claimedBytes;
          // Only a tree whose every directory is known has a size, and only where all links say theirs.
          if (this.#missing === 0 && totalBytes >= 0 && this.#options.onTotal?.(totalBytes) === false) {
            this.#stopped = 'full';
            break;
          }
        }
        const block = this.#plan.next();
        const taken = block && this.#take(block);
        if (taken) await taken;
        if (!block && this.#outstanding === 0) break;
        if (!block) await this.#oneEnded();
        while (this.#outstanding >= MAX_OUTSTANDING && !signal.aborted) await this.#oneEnded();
        const tookMs = performance.now() - turnMs;
        if (turn % BLOCKS_PER_TURN === 0 || tookMs > TURN_MS) {
          await (this.#options.rest?.(tookMs) ?? nextTurn());
          turnMs = performance.now();
        }
      }
      while (this.#outstanding > 0 && !signal.aborted) await this.#oneEnded();
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    return { missing: this.#missing, stopped: this.#stopped, lastError: this.#lastError };
  }

  /** Deals with a block that is here, in this turn; sets one under way that is not. */
  #take(block: PlannedBlock): MaybePromise<void> {
    if (block.brings) return this.#takeTogether(block, block.brings);
    if (!this.#parts.blocks.isKept(blockKeyOf(block.key))) {
      return this.#options.fetch ? this.#fetch(block) : this.#lacks(block, this.#inMemory(block));
    }
    if (!block.inner) return this.#here(block, block.claimedBytes);
    const leaf = block.again ? undefined : leafOnDisk(this.#parts.blocks, block.key, this.#want);
    if (leaf) return this.#opened(block, leaf.blockBytes, leaf.entry);
    const bytes = this.#parts.blocks.get(cidOf(block.key), this.#want);
    // From memory or disk, in this turn; otherwise it was evicted just now.
    if (!(bytes instanceof Promise)) return this.#came(block, bytes);
    this.#track(block, bytes, 0);
  }

  #fetch(block: PlannedBlock): Promise<void> {
    const expectedBytes = block.claimedBytes > 0 && !block.inner ? block.claimedBytes : block.expectedBytes;
    const fetch = () => this.#parts.blocks.get(cidOf(block.key), { ...this.#want, expectedBytes });
    return this.#setUnderWay(block, spaceOf(expectedBytes ?? GUESSED_BLOCK_BYTES), (spaceBytes) =>
      this.#track(block, fetch(), spaceBytes),
    );
  }

  /** What comes along with another, where more than half of it is missing; what does not come, the plan hands out again. */
  #takeTogether(block: PlannedBlock, brings: readonly ContentKey[]): MaybePromise<void> {
    const isKept = (key: ContentKey) => this.#parts.blocks.isKept(blockKeyOf(key));
    const isWorthIt = () => brings.filter(isKept).length < brings.length / 2;
    const treeBytes = block.expectedBytes ?? 0;
    if (!this.#options.fetch || !isWorthIt()) return this.#plan.open(block);
    const bring = () => this.#parts.blocks.fetchRange(cidOf(block.key), { treeBytes }, this.#want);
    const fetch = () => block.after?.then(() => (isWorthIt() ? bring() : 0)) ?? bring();
    return this.#setUnderWay(block, spaceOf(treeBytes), (spaceBytes) =>
      this.#count(
        fetch().then(() => this.#plan.open(block)),
        spaceBytes,
      ),
    );
  }

  /** Has it set under way, with the room that it will take. Waits for pauses alone. */
  async #setUnderWay(block: PlannedBlock, spaceBytes: number, begin: (spaceBytes: number) => void): Promise<void> {
    await this.#pause();
    while (this.#isHeldUp(spaceBytes)) {
      if (this.#options.signal.aborted) break;
      await this.#oneEndedWithin(WRITE_PAUSE_MS);
    }
    if (this.#stopped || this.#options.signal.aborted) return this.#lacks(block);
    if (this.#options.hasRoom && !this.#options.hasRoom(this.#outstandingBytes + spaceBytes)) {
      this.#stopped = 'full';
      return this.#lacks(block);
    }
    begin(spaceBytes);
  }

  #track(block: PlannedBlock, bytes: Uint8Array | Promise<Uint8Array>, spaceBytes: number): void {
    const arrival = Promise.resolve(bytes).then((came) => {
      if (!this.#parts.blocks.isKept(blockKeyOf(block.key))) {
        throw new CodedError('STORE_FULL', 'the disk cache does not keep what is fetched');
      }
      this.#failuresInARow = 0;
      this.#came(block, came);
    });
    this.#count(
      arrival.catch((error: unknown) => this.#failed(block, error)),
      spaceBytes,
    );
  }

  /** `work`, which never rejects, is under way until it ends. */
  #count(work: Promise<void>, spaceBytes: number): void {
    this.#outstanding++;
    this.#outstandingBytes += spaceBytes;
    this.#parts.underWay?.take(this, spaceBytes);
    void work.finally(() => {
      this.#outstanding--;
      this.#outstandingBytes -= spaceBytes;
      this.#parts.underWay?.give(this, spaceBytes);
      this.#wake();
    });
  }

  #came(block: PlannedBlock, bytes: Uint8Array): void {
    if (block.again) this.#plan.open(block, decoded(block, bytes));
    else if (block.inner) this.#opened(block, bytes.length, decoded(block, bytes));
    else this.#here(block, bytes.length);
  }

  #opened(block: PlannedBlock, sizeBytes: number, entry: UnixfsEntry | undefined): void {
    this.#here(block, sizeBytes);
    this.#innerBytes += isInline(block.key) ? 0 : sizeBytes;
    this.#plan.open(block, entry);
  }

  #here(block: PlannedBlock, sizeBytes: number): void {
    if (isInline(block.key)) return;
    // One whose size nobody knows is counted by who knows it.
    const key = blockKeyOf(block.key);
    if (sizeBytes >= 0) this.#options.tally.here(block.key, sizeBytes, this.#parts.cache.has(key));
    this.#options.onHere?.(key);
  }

  /** `entry`: what it leads to, where that is known all the same. */
  #lacks(block: PlannedBlock, entry?: UnixfsEntry): void {
    this.#missing++;
    if (block.inner) this.#plan.open(block, entry);
  }

  /** Memory still knows the way to blocks that are kept when the block that leads to them no longer is. */
  #inMemory(block: PlannedBlock): UnixfsEntry | undefined {
    if (!block.inner) return undefined;
    const cid = cidOf(block.key);
    if (!this.#parts.blocks.has(cid)) return undefined;
    const bytes = this.#parts.blocks.get(cid, { ...this.#want, priority: 'metadata' });
    return bytes instanceof Promise ? undefined : decoded(block, bytes);
  }

  #failed(block: PlannedBlock, error: unknown): void {
    this.#lacks(block);
    if (codeOf(error) === 'ABORTED') return;
    this.#lastError = error;
    this.#failuresInARow++;
    const isForNothing = codeOf(error) === 'STORE_FULL' && this.#failuresInARow >= NOT_KEPT_IN_A_ROW;
    if (isForNothing || this.#failuresInARow >= FAILURES_IN_A_ROW) this.#stopped = 'failing';
    if (isForNothing) this.#ended.abort();
    const pauseMs = backoffMs(FAILURE_BACKOFF, this.#failuresInARow, Math.random);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#parts.clock.nowMs() + pauseMs);
  }

  async #pause(): Promise<void> {
    const { clock } = this.#parts;
    for (;;) {
      const failedMs = this.#failuresInARow > 0 ? this.#pausedUntilMs - clock.nowMs() : 0;
      const leftMs = Math.max(failedMs, this.#options.holdMs?.() ?? 0);
      if (leftMs <= 0 || this.#stopped || this.#options.signal.aborted) return;
      await this.#oneEndedWithin(leftMs);
    }
  }

  #isHeldUp(spaceBytes: number): boolean {
    const { cache, underWay } = this.#parts;
    if (underWay?.hasRoom(this) === false) return true;
    const unwrittenBytes = this.#outstandingBytes + cache.waitingBytes;
    return unwrittenBytes > 0 && unwrittenBytes + spaceBytes > MAX_UNWRITTEN_BYTES;
  }

  async #oneEndedWithin(limitMs: number): Promise<void> {
    let forget = () => {};
    const timer = new Promise<void>((resolve) => {
      forget = this.#parts.clock.schedule(limitMs, resolve);
    });
    await Promise.race([timer, this.#oneEnded()]);
    forget();
  }

  /** Resolves when a want has ended, or the fill is to. */
  #oneEnded(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Undefined for a block that is no UnixFS: it is here, and leads nowhere. */
function decoded(block: PlannedBlock, bytes: Uint8Array): UnixfsEntry | undefined {
  try {
    return decodeUnixfsEntry(block.key, bytes);
  } catch {
    return undefined;
  }
}
