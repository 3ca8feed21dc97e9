/**
 * A source at the end of a modelled link that its requests share evenly, each a connection of its own, as TCP has it: nothing
 * queues behind anything, and with more requests all of them take longer. No time passes but the clock's.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../src/base/errors.ts';
import { type Block, blockKey } from '../../src/blocks/block.ts';
import type { BlockSource, FetchOptions } from '../../src/blocks/block-source.ts';
import type { Clock } from '../../src/blocks/clock.ts';

/** What is shared out at once. */
const STEP_MS = 50;

interface Transfer {
  leftBytes: number;
  readonly whole: Uint8Array;
  readonly options: FetchOptions;
  readonly settle: { resolve(bytes: Uint8Array): void; reject(error: unknown): void };
}

export class SharedLinkSource implements BlockSource {
  readonly name = 'link';
  /** Bytes that went over the link so far, those of requests included that were given up. */
  bytes = 0;
  maxInFlight = 0;
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #blocks = new Map<string, Uint8Array>();
  readonly #transfers = new Set<Transfer>();

  constructor(clock: Clock, blocks: Iterable<Block>, bytesPerMs: number) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerMs;
    for (const { cid, bytes } of blocks) this.#blocks.set(blockKey(cid), bytes);
  }

  getBlock(cid: CID, options: FetchOptions): Promise<Uint8Array> {
    const whole = this.#blocks.get(blockKey(cid));
    if (whole === undefined) return Promise.reject(new CodedError('BLOCK_UNAVAILABLE', 'link: not found'));
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#transfers.add({ leftBytes: whole.length, whole, options, settle: { resolve, reject } });
    this.maxInFlight = Math.max(this.maxInFlight, this.#transfers.size);
    if (this.#transfers.size === 1) this.#clock.schedule(STEP_MS, this.#step);
    return promise;
  }

  readonly #step = (): void => {
    const running = [...this.#transfers].filter((transfer) => !this.#isGivenUp(transfer));
    const share = (this.#bytesPerMs * STEP_MS) / running.length;
    for (const transfer of running) {
      transfer.leftBytes -= share;
      this.bytes += share;
      transfer.options.onBytes?.(share);
      if (transfer.leftBytes > 0) continue;
      this.#transfers.delete(transfer);
      transfer.settle.resolve(transfer.whole);
    }
    if (this.#transfers.size > 0) this.#clock.schedule(STEP_MS, this.#step);
  };

  #isGivenUp(transfer: Transfer): boolean {
    if (!transfer.options.signal.aborted) return false;
    this.#transfers.delete(transfer);
    transfer.settle.reject(new CodedError('ABORTED', 'aborted'));
    return true;
  }

  async close(): Promise<void> {}
}
