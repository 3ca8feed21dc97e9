/**
 * What was fetched on somebody's account (a volume's), and how much of its content is on this machine.
 *
 * A block counts once, whoever says first that it is here: the want that brought it (readahead and a reader often wait for
 * the same one), or a walk that found it.
 */
import type { CID } from 'multiformats/cid';
import { blockKey } from './block.ts';
import type { OnBlock } from './block-reader.ts';
import { spaceOf } from './disk/disk-total.ts';
import { FingerprintSet } from './fingerprint-set.ts';
import { PRIORITIES, type Priority } from './priority.ts';

export interface Fetched {
  blocks: number;
  bytes: number;
}

export class BlockTally {
  readonly fetched = Object.fromEntries(PRIORITIES.map((priority) => [priority, { blocks: 0, bytes: 0 }])) as Record<
    Priority,
    Fetched
  >;
  /** Told of everything added. */
  listener: OnBlock | undefined;
  /** The source that sent the latest block; null where none did. */
  source: string | null = null;
  #here = new FingerprintSet();
  #bytesHere = 0;
  #evictableBytes = 0;

  get bytesHere(): number {
    return this.#bytesHere;
  }

  /** The room that those of them take which the cache may evict, as its bound counts it. */
  get evictableBytes(): number {
    return this.#evictableBytes;
  }

  get blocksFetched(): number {
    return PRIORITIES.reduce((sum, priority) => sum + this.fetched[priority].blocks, 0);
  }

  get bytesFetched(): number {
    return PRIORITIES.reduce((sum, priority) => sum + this.fetched[priority].bytes, 0);
  }

  add(cid: CID, sizeBytes: number, how: Parameters<OnBlock>[2]): void {
    if (how.fetched && this.here(blockKey(cid), sizeBytes, true)) {
      const fetched = this.fetched[how.priority];
      fetched.blocks++;
      fetched.bytes += sizeBytes;
      this.source = how.origin;
    }
    this.listener?.(cid, sizeBytes, how);
  }

  /** The block of that key (any that ends in the digest) is on this machine, `evictable` in the cache; true where that is news. */
  here(key: string, sizeBytes: number, evictable: boolean): boolean {
    if (!this.#here.add(key)) return false;
    this.#bytesHere += sizeBytes;
    if (evictable) this.#evictableBytes += spaceOf(sizeBytes);
    return true;
  }

  /** What is here was counted anew, by `counted`: blocks were evicted. */
  adopt(counted: BlockTally): void {
    this.#here = counted.#here;
    this.#bytesHere = counted.#bytesHere;
    this.#evictableBytes = counted.#evictableBytes;
  }
}
