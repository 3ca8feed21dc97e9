/**
 * A CAR on its way out, in memory that is used again: blocks are laid one behind the other in one buffer while another is
 * being sent. A gigabyte of blocks, each in memory of its own, would wait in hundreds of MB for V8 to collect it.
 */
import type { CID } from 'multiformats/cid';
import { MAX_BLOCK_BYTES } from '../blocks/block.ts';
import { sectionBytes, sectionHead } from '../blocks/car-format.ts';

/** Resolves once the bytes are needed no more. */
export type Send = (bytes: Uint8Array) => Promise<void>;

/** Room for the largest block with its head, which a CID of any allowed hash is far below. */
const BATCH_BYTES = MAX_BLOCK_BYTES + 64 * 1024;

export class CarBatches {
  readonly #send: Send;
  #batch: Uint8Array = Buffer.allocUnsafeSlow(BATCH_BYTES);
  #used = 0;
  /** What was sent last, and is not to be touched until `#sent`. */
  #other: Uint8Array = Buffer.allocUnsafeSlow(BATCH_BYTES);
  #sent: Promise<void> = Promise.resolve();

  /** `header`: what the CAR begins with. */
  constructor(header: Uint8Array, send: Send) {
    this.#send = send;
    this.#put(header);
  }

  /** Resolves once there is room for a block of `sizeBytes`. @throws what `send` does */
  async untilRoom(cid: CID, sizeBytes: number): Promise<void> {
    if (this.#used + sectionBytes(cid, sizeBytes) > BATCH_BYTES) await this.#flush();
  }

  /** Copies the block behind what was added before. For which there is room. */
  add(cid: CID, bytes: Uint8Array): void {
    this.#put(sectionHead(cid, bytes.length));
    this.#put(bytes);
  }

  /** No more blocks follow; resolves once all is sent. @throws what `send` does */
  async end(): Promise<void> {
    await this.#flush();
    await this.#sent;
  }

  async #flush(): Promise<void> {
    await this.#sent;
    this.#sent = this.#send(this.#batch.subarray(0, this.#used));
    // Whoever fills the other one next, or ends, is told.
    this.#sent.catch(() => undefined);
    [this.#batch, this.#other] = [this.#other, this.#batch];
    this.#used = 0;
  }

  #put(bytes: Uint8Array): void {
    this.#batch.set(bytes, this.#used);
    this.#used += bytes.length;
  }
}
