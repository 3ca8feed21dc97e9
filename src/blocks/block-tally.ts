/**
 * What was fetched on somebody's account (a volume's), and how much of its content is on this machine.
 *
 * A block counts once, whoever says first that it is here: the want that brought it (readahead and a reader often wait for
 * the same one), or a walk that found it. One that is gone (`gone`) counts no more, and anew when it is fetched again. While a
 * walk counts from nothing, what comes and goes meanwhile is told to both counts.
 *
 * A walk has marks of its own for each block that it meets, and those are the ones that are here, or will be: it may keep them
 * in the set of these (`lendMarks`), which is half the memory of two.
 */
import { blockKey } from './block.ts';
import type { OnBlock } from './block-reader.ts';
import { spaceOf } from './disk/disk-total.ts';
import { FingerprintSet, PRESENT } from './fingerprint-set.ts';
import { PRIORITIES, type Priority } from './priority.ts';

export interface Fetched {
  blocks: number;
  bytes: number;
}

/** Who has blocks on this machine. */
export type Keeper = 'cache' | 'store';

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
  /** Its marks are a walk's. */
  #lent: FingerprintSet | undefined;
  #blocksHere = 0;
  #bytesHere = 0;
  #evictableBytes = 0;
  /** What a walk counts at this moment. */
  #successor: BlockTally | undefined;

  get blocksHere(): number {
    return this.#blocksHere;
  }

  /** Of a count under way. */
  get blocksAnew(): number {
    return this.#successor?.blocksHere ?? 0;
  }

  get bytesHere(): number {
    return this.#bytesHere;
  }

  /** The room that those of them take which the cache may evict, as its bound counts it. */
  get evictableBytes(): number {
    return this.#evictableBytes;
  }

  /** Of `evictableBytes`, about what the background brought since the start. */
  get broughtBytes(): number {
    const { profile, background } = this.fetched;
    return Math.min(this.#evictableBytes, profile.bytes + background.bytes);
  }

  get blocksFetched(): number {
    return PRIORITIES.reduce((sum, priority) => sum + this.fetched[priority].blocks, 0);
  }

  get bytesFetched(): number {
    return PRIORITIES.reduce((sum, priority) => sum + this.fetched[priority].bytes, 0);
  }

  /** To be given along with every want that is on this account. */
  readonly account: OnBlock = (cid, sizeBytes, how) => {
    if (how.fetched && this.here(blockKey(cid), sizeBytes, true)) {
      const fetched = this.fetched[how.priority];
      fetched.blocks++;
      fetched.bytes += sizeBytes;
      this.source = how.origin;
    }
    this.listener?.(cid, sizeBytes, how);
  };

  /** The block of that key (any that ends in the digest) is on this machine, `evictable` in the cache; true where that is news. */
  here(key: string, sizeBytes: number, evictable: boolean): boolean {
    this.#successor?.here(key, sizeBytes, evictable);
    if (!this.#here.add(key)) return false;
    this.#blocksHere++;
    this.#bytesHere += sizeBytes;
    if (evictable) this.#evictableBytes += spaceOf(sizeBytes);
    return true;
  }

  /**
   * The cache, or the local store, has it no more; `kept` where the other has it none the less. True where it counted as here,
   * also in a count under way, and is not.
   */
  gone(key: string, sizeBytes: number, kept: boolean, from: Keeper = 'cache'): boolean {
    const wentFromAnew = this.#successor?.gone(key, sizeBytes, kept, from) ?? false;
    if (!(kept ? this.#here.has(key) : this.#here.delete(key))) return wentFromAnew;
    if (from === 'cache') this.#evictableBytes = Math.max(0, this.#evictableBytes - spaceOf(sizeBytes));
    // What the local store had as well was no one's to evict.
    else if (kept) this.#evictableBytes += spaceOf(sizeBytes);
    if (kept) return false;
    this.#blocksHere--;
    this.#bytesHere -= sizeBytes;
    return true;
  }

  /** For a walk over all that is here, from nothing; `adopt` follows, or another. */
  countAnew(): BlockTally {
    this.#successor = new BlockTally();
    return this.#successor;
  }

  /**
   * Room for a walk's marks, all but `PRESENT`, in the set of what is here; in one of its own where another walk has that.
   * Whoever has it uses it no more once he gave it back: the next one finds no marks there.
   */
  lendMarks(): { readonly marks: FingerprintSet; readonly giveBack: () => void } {
    if (this.#lent === this.#here) return { marks: new FingerprintSet(), giveBack: () => undefined };
    const marks = this.#here;
    this.#lent = marks;
    const giveBack = () => {
      marks.keepOnly(PRESENT);
      if (this.#lent === marks) this.#lent = undefined;
    };
    return { marks, giveBack };
  }

  /** What is here was counted anew, by `counted`. */
  adopt(counted: BlockTally): void {
    this.#successor = undefined;
    this.#here = counted.#here;
    this.#blocksHere = counted.#blocksHere;
    this.#bytesHere = counted.#bytesHere;
    this.#evictableBytes = counted.#evictableBytes;
  }
}
