/**
 * A Kubo node beside us whose blocks are all at another one, over a link: it asks who has a block, then for the block, and of one
 * above 256 KiB a round trip more comes for each doubling (docs/BENCHMARKS.md, "Through Kubo"). Both have a processor that takes its
 * time over each block, so that answers take longer the more it is asked for, and a little more comes all the same. No time
 * passes but the clock's.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../src/base/errors.ts';
import { type Block, blockKey } from '../../src/blocks/block.ts';
import type { BlockSource } from '../../src/blocks/block-source.ts';
import type { FakeClock } from './fake-clock.ts';
import { seeded } from './seeded.ts';

const MIB = 1024 * 1024;
/** The window of a new stream, which doubles with each round trip. */
const FIRST_WINDOW_BYTES = 256 * 1024;
/** What a message has beside its block. */
const MESSAGE_BYTES = 100;
/** Of one block that is asked for alone, beside what grows with it. */
const ALONE_MS = 8;
/** On the average at each of the two, as measured: 40 ms for 1 MiB over 1 ms, and 90 MiB/s at the most. */
const PROCESSOR_MS = { block: 0.3, mib: 9.5 } as const;

export interface KuboSpeed {
  readonly roundTripMs: number;
  readonly bytesPerMs: number;
}

/** One at a time, first come first served. */
class Station {
  readonly #clock: FakeClock;
  #freeAtMs = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  pass(takesMs: number): Promise<void> {
    this.#freeAtMs = Math.max(this.#freeAtMs, this.#clock.nowMs()) + takesMs;
    return this.#clock.wait(this.#freeAtMs - this.#clock.nowMs());
  }
}

export class KuboSource implements BlockSource {
  readonly name = 'kubo';
  /** Of the blocks that it answered with. */
  bytes = 0;
  inFlight = 0;
  readonly #clock: FakeClock;
  readonly #speed: KuboSpeed;
  readonly #blocks = new Map<string, Uint8Array>();
  readonly #far: Station;
  readonly #link: Station;
  readonly #near: Station;
  readonly #random: () => number;

  constructor(clock: FakeClock, blocks: Iterable<Block>, speed: KuboSpeed, seed = 1) {
    this.#random = seeded(seed);
    this.#clock = clock;
    this.#speed = speed;
    [this.#far, this.#link, this.#near] = [new Station(clock), new Station(clock), new Station(clock)];
    for (const { cid, bytes } of blocks) this.#blocks.set(blockKey(cid), bytes);
  }

  async getBlock(cid: CID): Promise<Uint8Array> {
    const bytes = this.#blocks.get(blockKey(cid));
    if (bytes === undefined) throw new CodedError('BLOCK_UNAVAILABLE', 'kubo: not found');
    const { roundTripMs, bytesPerMs } = this.#speed;
    const doublings = Math.max(0, Math.ceil(Math.log2((bytes.length + MESSAGE_BYTES) / FIRST_WINDOW_BYTES)));
    this.inFlight++;
    await this.#clock.wait(ALONE_MS + roundTripMs * 1.5);
    await this.#far.pass(this.#processorMs(bytes.length));
    await this.#link.pass(bytes.length / bytesPerMs);
    await this.#clock.wait(roundTripMs * (0.5 + doublings));
    await this.#near.pass(this.#processorMs(bytes.length));
    this.inFlight--;
    this.bytes += bytes.length;
    return bytes;
  }

  async close(): Promise<void> {}

  /** Now more and now less, as of a processor that others use, too. */
  #processorMs(bytes: number): number {
    return -Math.log(1 - this.#random()) * (PROCESSOR_MS.block + (PROCESSOR_MS.mib * bytes) / MIB);
  }
}
