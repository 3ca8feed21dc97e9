/**
 * A BlockReader that asks no source: for whoever would like to know, and is not worth a request. What is not on this machine
 * is BLOCK_UNAVAILABLE.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import type { BlockKey } from './block.ts';
import type { BlockReader, WantOptions } from './block-reader.ts';
import type { BlockEnds } from './block-store.ts';

export class BlocksHere implements BlockReader {
  readonly #blocks: BlockReader;

  constructor(blocks: BlockReader) {
    this.#blocks = blocks;
  }

  get(cid: CID, options: WantOptions): MaybePromise<Uint8Array> {
    this.#check(cid);
    return this.#blocks.get(cid, options);
  }

  getRange(cid: CID, start: number, end: number, options: WantOptions, scratch?: Scratch): MaybePromise<Uint8Array> {
    this.#check(cid);
    return this.#blocks.getRange(cid, start, end, options, scratch);
  }

  ends(cid: CID, options: WantOptions): BlockEnds | undefined {
    return this.#blocks.ends(cid, options);
  }

  expect(cid: CID, start: number, end: number): void {
    this.#blocks.expect(cid, start, end);
  }

  readToEnd(cid: CID): void {
    this.#blocks.readToEnd(cid);
  }

  has(cid: CID): boolean {
    return this.#blocks.has(cid);
  }

  isKept(key: BlockKey): boolean {
    return this.#blocks.isKept(key);
  }

  async fetchRange(): Promise<number> {
    return 0;
  }

  #check(cid: CID): void {
    if (!this.#blocks.has(cid)) throw new CodedError('BLOCK_UNAVAILABLE', `block ${cid} is not on this machine`);
  }
}
