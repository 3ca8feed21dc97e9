/**
 * Blocks on their way to the disk, readable meanwhile. Bounded: what comes faster than the disk takes it is not kept.
 */
import type { BlockKey } from '../blocks/block.ts';
import { keep, letGo } from '../blocks/block-memory.ts';
import { spaceOf } from '../blocks/disk/disk-total.ts';

/** A fifth of a second of a 1 Gbit/s link: the pause before a turn of writing, and the turn. */
const MAX_BYTES = 24 * 1024 * 1024;
/** While the disk refuses: enough to try it with. */
const FEW_BYTES = 4 * 1024 * 1024;

export interface QueuedBlock {
  readonly bytes: Uint8Array;
  /** A reader waited for it, or read it since. */
  used: boolean;
}

export class WriteQueue {
  readonly #blocks = new Map<BlockKey, QueuedBlock>();
  #bytes = 0;

  get size(): number {
    return this.#blocks.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(key: BlockKey): boolean {
    return this.#blocks.has(key);
  }

  get(key: BlockKey): Uint8Array | undefined {
    return this.#blocks.get(key)?.bytes;
  }

  /** Undefined too where the block is shorter than `end`. */
  getRange(key: BlockKey, start: number, end: number): Uint8Array | undefined {
    const bytes = this.get(key);
    return bytes && bytes.length >= end ? bytes.subarray(start, end) : undefined;
  }

  /** A reader reads it; false where it does not wait here. */
  use(key: BlockKey): boolean {
    const block = this.#blocks.get(key);
    if (block) block.used = true;
    return block !== undefined;
  }

  /** False where it waits already, or there is no room for it. */
  add(key: BlockKey, bytes: Uint8Array, { used, few }: { readonly used: boolean; readonly few: boolean }): boolean {
    if (this.#blocks.has(key) || this.#bytes + bytes.length > (few ? FEW_BYTES : MAX_BYTES)) return false;
    keep(bytes);
    this.#blocks.set(key, { bytes, used });
    this.#bytes += bytes.length;
    return true;
  }

  /**
   * The first blocks, one at least, as many as take less than `maxBytes` on the disk, and what they take.
   * They stay, and are kept whatever leaves meanwhile, until `done`; those that are not `wanted` leave.
   */
  next(
    maxBytes: number,
    wanted: (key: BlockKey) => boolean,
  ): { batch: Map<BlockKey, QueuedBlock>; spaceBytes: number } {
    const batch = new Map<BlockKey, QueuedBlock>();
    let spaceBytes = 0;
    for (const [key, block] of this.#blocks) {
      const space = spaceOf(block.bytes.length);
      if (batch.size > 0 && spaceBytes + space > maxBytes) break;
      if (wanted(key)) {
        batch.set(key, block);
        keep(block.bytes);
        spaceBytes += space;
      } else {
        this.remove(key);
      }
    }
    return { batch, spaceBytes };
  }

  /** What became of a batch: those that are `written` leave the queue. To be called when nobody reads their bytes any more. */
  done(batch: ReadonlyMap<BlockKey, QueuedBlock>, written: boolean): void {
    for (const [key, { bytes }] of batch) {
      letGo(bytes);
      if (written) this.remove(key);
    }
  }

  remove(key: BlockKey): void {
    const block = this.#blocks.get(key);
    if (!block) return;
    this.#bytes -= block.bytes.length;
    this.#blocks.delete(key);
    letGo(block.bytes);
  }

  /** Gives what it dropped, with sizes. */
  clear(): [BlockKey, number][] {
    const dropped = [...this.#blocks].map(([key, { bytes }]): [BlockKey, number] => [key, bytes.length]);
    for (const [key] of dropped) this.remove(key);
    return dropped;
  }
}
