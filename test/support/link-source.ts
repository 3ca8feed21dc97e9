/**
 * A source at the end of a modelled link: requests take half a round trip there, answers queue for the link's rate, first
 * come first served, and take half a round trip back. No time passes but the clock's.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../src/base/errors.ts';
import { type Block, blockKey } from '../../src/blocks/block.ts';
import type { BlockSource, DagScope, FetchOptions, RangeSource } from '../../src/blocks/block-source.ts';
import type { Clock } from '../../src/blocks/clock.ts';
import { makeBlock } from './make-block.ts';

export class LinkSource implements BlockSource {
  readonly name = 'link';
  /** Bytes that went over the link so far. */
  bytes = 0;
  inFlight = 0;
  /** True: every request fails at once. */
  down = false;
  /** May be changed while it runs. */
  roundTripMs: number;
  bytesPerMs: number;
  readonly #clock: Clock & { wait(delayMs: number): Promise<void> };
  readonly #blocks = new Map<string, Uint8Array>();
  #freeAtMs = 0;

  constructor(clock: LinkSource['clock'], blocks: Iterable<Block>, roundTripMs: number, bytesPerMs: number) {
    this.#clock = clock;
    this.roundTripMs = roundTripMs;
    this.bytesPerMs = bytesPerMs;
    for (const { cid, bytes } of blocks) this.#blocks.set(blockKey(cid), bytes);
  }

  /** Bytes that left the link so far. */
  get sentBytes(): number {
    return this.bytes - Math.max(0, this.#freeAtMs - this.#clock.nowMs()) * this.bytesPerMs;
  }

  get clock() {
    return this.#clock;
  }

  async getBlock(cid: CID, { signal }: FetchOptions): Promise<Uint8Array> {
    const bytes = this.#blocks.get(blockKey(cid));
    if (bytes === undefined) throw new CodedError('BLOCK_UNAVAILABLE', 'link: not found');
    if (this.down) throw new CodedError('SOURCE_FAILED', 'link: connection refused');
    this.inFlight++;
    try {
      await this.#clock.wait(this.roundTripMs / 2);
      this.#freeAtMs = Math.max(this.#freeAtMs, this.#clock.nowMs()) + bytes.length / this.bytesPerMs;
      this.bytes += bytes.length;
      await this.#clock.wait(this.#freeAtMs - this.#clock.nowMs() + this.roundTripMs / 2);
    } finally {
      this.inFlight--;
    }
    if (signal.aborted) throw new CodedError('ABORTED', 'aborted');
    return bytes;
  }

  async close(): Promise<void> {}
}

/** The root of a file; what its links would take is nothing beside its leaves. */
const FILE_ROOT = makeBlock('the root of the file');

/** The same, and ranges of a file that is made of `leaves`, all of one size: each begins with `root`. */
export class RangeLinkSource extends LinkSource implements RangeSource {
  readonly root = FILE_ROOT.cid;
  readonly #leaves: readonly Block[];

  constructor(clock: LinkSource['clock'], leaves: readonly Block[], roundTripMs: number, bytesPerMs: number) {
    super(clock, [FILE_ROOT, ...leaves], roundTripMs, bytesPerMs);
    this.#leaves = leaves;
  }

  async *getRange(_root: CID, scope: DagScope, options: FetchOptions): AsyncIterable<Block> {
    const { from, to } = 'treeBytes' in scope ? { from: 0, to: scope.treeBytes - 1 } : scope;
    const leafBytes = this.#leaves[0]?.bytes.length ?? 1;
    const leaves = this.#leaves.slice(Math.floor(from / leafBytes), Math.floor(to / leafBytes) + 1);
    const coming = [FILE_ROOT, ...leaves].map(async (leaf) => ({
      ...leaf,
      bytes: await this.getBlock(leaf.cid, options),
    }));
    for (const block of coming) yield await block;
  }
}
