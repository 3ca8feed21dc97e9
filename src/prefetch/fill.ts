/**
 * Works through a plan once: counts what is here, fetches what is not, opens what leads further.
 *
 * What always holds:
 * - A block that is here is never asked for; of the rest a bounded number is on its way (`fill-under-way.ts`). The want queue
 *   decides when each goes out: behind every reader, within the rate.
 * - Failures slow it down, and enough of them end it (`fill-failures.ts`). Each block that could not be had is counted, and the
 *   others are brought none the less.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CodedError, codeOf } from '../base/errors.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { BlockKey } from '../blocks/block.ts';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import type { BlockStore } from '../blocks/block-store.ts';
import type { BlockTally } from '../blocks/block-tally.ts';
import { spaceOf } from '../blocks/disk/disk-total.ts';
import { blockKeyOf, cidOf, isInline } from '../unixfs/content-key.ts';
import { leafOnDisk } from '../unixfs/leaf-ends.ts';
import { decodeUnixfsEntry, type UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import { FillFailures } from './fill-failures.ts';
import { FillUnderWay, type UnderWayParts } from './fill-under-way.ts';
import type { BlockPlan, PlannedBlock, PlannedGroup } from './plan.ts';

export interface FillCache extends Pick<BlockStore, 'has'> {
  /** Bytes that wait to be written. */
  readonly waitingBytes: number;
  /** Until what it gives is called, what comes is kept before whatever was used longer ago. */
  preferNew(): () => void;
}

export interface FillParts extends UnderWayParts {
  readonly blocks: BlockReader;
  /** What is here and may be evicted. */
  readonly cache: FillCache;
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

/** A want may wait long behind readers and the rate: this bounds what a silent source holds up. */
const WANT_TIMEOUT_MS = 5 * 60_000;
/**
 * Of answers that brought other blocks than they were asked for: who made the profile may name one tree thirty thousand times,
 * as what leads to blocks that are not in it, and each answer is paid for, too.
 */
const VAIN_ANSWERS_IN_A_ROW = 4;
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
  readonly #underWay: FillUnderWay;
  readonly #failures: FillFailures;
  #missing = 0;
  #stopped: FillResult['stopped'];
  #vainAnswersInARow = 0;
  #innerBytes = 0;
  /** Ends what is on its way where it is for nothing. */
  readonly #ended = new AbortController();

  constructor(parts: FillParts, plan: BlockPlan, options: FillOptions) {
    this.#parts = parts;
    this.#plan = plan;
    this.#options = options;
    this.#underWay = new FillUnderWay(parts);
    this.#failures = new FillFailures(parts.clock);
    const { priority, signal, tally } = options;
    this.#want = {
      priority,
      signal: AbortSignal.any([signal, this.#ended.signal]),
      timeoutMs: WANT_TIMEOUT_MS,
      account: tally.account,
    };
  }

  async run(): Promise<FillResult> {
    const { signal } = this.#options;
    signal.addEventListener('abort', this.#underWay.wake, { once: true });
    try {
      await this.#goThroughPlan(signal);
      while (!this.#underWay.isIdle && !signal.aborted) await this.#underWay.oneEnded();
    } finally {
      signal.removeEventListener('abort', this.#underWay.wake);
    }
    return { missing: this.#missing, stopped: this.#stopped, lastError: this.#failures.last };
  }

  async #goThroughPlan(signal: AbortSignal): Promise<void> {
    let isTotalTold = false;
    let turnMs = performance.now();
    for (let turn = 1; !this.#stopped; turn++) {
      if (signal.aborted) throw new CodedError('ABORTED', 'the prefetch was ended');
      if (!isTotalTold && this.#plan.metadataDone) {
        isTotalTold = true;
        this.#tellTotal();
        if (this.#stopped) return;
      }
      const planned = this.#plan.next();
      const taken = planned && this.#take(planned);
      if (taken) await taken;
      if (!planned && this.#underWay.isIdle) return;
      if (!planned) await this.#underWay.oneEnded();
      while (this.#underWay.isFull && !signal.aborted) await this.#underWay.oneEnded();
      const tookMs = performance.now() - turnMs;
      if (turn % BLOCKS_PER_TURN === 0 || tookMs > TURN_MS) {
        await (this.#options.rest?.(tookMs) ?? nextTurn());
        turnMs = performance.now();
      }
    }
  }

  /** Only a tree whose every directory is known has a size, and only where all links say theirs. */
  #tellTotal(): void {
    const totalBytes = this.#innerBytes + this.#plan.claimedBytes;
    if (this.#missing > 0 || !(totalBytes >= 0)) return;
    if (this.#options.onTotal?.(totalBytes) === false) this.#stopped = 'full';
  }

  /** Deals with what is here, in this turn; sets under way what is not. */
  #take(planned: PlannedBlock | PlannedGroup): MaybePromise<void> {
    return 'over' in planned ? this.#takeGroup(planned) : this.#takeBlock(planned);
  }

  #takeBlock(block: PlannedBlock): MaybePromise<void> {
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

  async #fetch(block: PlannedBlock): Promise<void> {
    const expectedBytes = block.claimedBytes > 0 && !block.inner ? block.claimedBytes : block.expectedBytes;
    const spaceBytes = spaceOf(expectedBytes ?? GUESSED_BLOCK_BYTES);
    if (!(await this.#mayGo(spaceBytes))) return this.#lacks(block);
    this.#track(block, this.#parts.blocks.get(cidOf(block.key), { ...this.#want, expectedBytes }), spaceBytes);
  }

  /** As one, where more than half of it is missing; what does not come so, the plan hands out again. */
  #takeGroup({ node, blocks, expectedBytes, after, over }: PlannedGroup): MaybePromise<void> {
    const lacksMost = () =>
      blocks.filter((key) => this.#parts.blocks.isKept(blockKeyOf(key))).length < blocks.length / 2;
    const isWorthIt = () => this.#vainAnswersInARow < VAIN_ANSWERS_IN_A_ROW && lacksMost();
    if (!this.#options.fetch || !isWorthIt()) return over();
    const spaceBytes = spaceOf(expectedBytes);
    const bring = () => this.#parts.blocks.fetchRange(cidOf(node), { treeBytes: expectedBytes }, this.#want);
    const ended = (count: number) => {
      if (count > 0) this.#vainAnswersInARow = lacksMost() ? this.#vainAnswersInARow + 1 : 0;
      over();
    };
    return this.#mayGo(spaceBytes).then((may) => {
      if (!may) return over();
      const brought = after?.then(() => (isWorthIt() ? bring() : 0)) ?? bring();
      this.#underWay.add(brought.then(ended), spaceBytes);
    });
  }

  /** Once more may be asked for, which will take that much room. False where nothing more will be. */
  async #mayGo(spaceBytes: number): Promise<boolean> {
    await this.#pause();
    await this.#underWay.untilRoom(spaceBytes, this.#options.signal);
    if (this.#stopped || this.#options.signal.aborted) return false;
    if (this.#options.hasRoom?.(this.#underWay.bytes + spaceBytes) !== false) return true;
    this.#stopped = 'full';
    return false;
  }

  async #pause(): Promise<void> {
    for (;;) {
      const leftMs = Math.max(this.#failures.pauseMs, this.#options.holdMs?.() ?? 0);
      if (leftMs <= 0 || this.#stopped || this.#options.signal.aborted) return;
      await this.#underWay.oneEndedWithin(leftMs);
    }
  }

  #track(block: PlannedBlock, bytes: Uint8Array | Promise<Uint8Array>, spaceBytes: number): void {
    const arrival = Promise.resolve(bytes).then((came) => {
      if (!this.#parts.blocks.isKept(blockKeyOf(block.key))) {
        throw new CodedError('STORE_FULL', 'the disk cache does not keep what is fetched');
      }
      this.#failures.cameOne();
      this.#came(block, came);
    });
    this.#underWay.add(
      arrival.catch((error: unknown) => this.#failed(block, error)),
      spaceBytes,
    );
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
    this.#failures.add(error);
    if (this.#failures.areTooMany) this.#stopped = 'failing';
    if (this.#failures.areForNothing) this.#ended.abort();
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
