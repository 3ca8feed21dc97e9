/**
 * How much is here of a volume, by the passes over it and by what the cache says of evictions. A pass may take hours, in which
 * blocks come and go, and others run beside it: what each may say in the end is decided here.
 *
 * What always holds:
 * - All is here (`complete`) after a pass that found or brought everything, and beside which nothing went; until something goes.
 * - A count, which begins from nothing, has no word where another pass ended beside it (`isOvertaken`): that one may have brought
 *   what it found missing.
 */
import type { BlockKey } from '../blocks/block.ts';
import { BlockTally, type Keeper } from '../blocks/block-tally.ts';
import type { FillResult } from './fill.ts';

/** A pass under way. */
export interface Pass {
  /** Where it counts: the volume's own tally, or of what only counts another one. */
  readonly tally: BlockTally;
  readonly goneBefore: number;
  readonly endedBefore: number;
}

export class Completeness {
  readonly #tally: BlockTally;
  /** Blocks that the cache gave up so far, of whichever volume. */
  readonly #evictions: () => number;
  #bytesTotal: number | null = null;
  #complete = false;
  #brought = false;
  /** Blocks that were here and went. */
  #gone = 0;
  #passesEnded = 0;
  #evictionsSeen = 0;

  constructor(tally: BlockTally, evictions: () => number) {
    this.#tally = tally;
    this.#evictions = evictions;
  }

  /** Null until every directory is known. */
  get bytesTotal(): number | null {
    return this.#bytesTotal;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** True once a pass has ended: until then, what the tally has is what somebody brought. */
  get isCounted(): boolean {
    return this.#passesEnded > 0;
  }

  /** The latest pass found or brought all, whatever went meanwhile. */
  get brought(): boolean {
    return this.#brought;
  }

  /** Something may have gone or come since the latest pass began, and only another one could tell. */
  get isUncertain(): boolean {
    return this.#evictions() !== this.#evictionsSeen;
  }

  /** What all blocks measure, as their links claim. */
  claimed(bytesTotal: number): void {
    this.#bytesTotal = bytesTotal;
  }

  /** A pass begins; `fetching`: it brings what is missing. What only looks counts from nothing: what is gone is not seen otherwise. */
  begin(fetching: boolean): Pass {
    this.#evictionsSeen = this.#evictions();
    const tally = fetching ? this.#tally : this.#tally.countAnew();
    return { tally, goneBefore: this.#gone, endedBefore: this.#passesEnded };
  }

  /** True of a count beside which another pass ended. */
  isOvertaken({ tally, endedBefore }: Pass): boolean {
    return tally !== this.#tally && this.#passesEnded !== endedBefore;
  }

  /** It has ended. */
  end({ tally, goneBefore }: Pass, { missing, stopped }: FillResult): void {
    this.#passesEnded++;
    if (tally !== this.#tally) this.#tally.adopt(tally);
    this.#brought = missing === 0 && !stopped;
    // What it passed and went meanwhile is not here.
    this.#complete = this.#brought && this.#gone === goneBefore;
    // Exact now: no claim of anybody's is left in it.
    if (this.#complete) this.#bytesTotal = this.#tally.bytesHere;
  }

  /** A block left the cache, or the local store; `kept` where the other has it none the less. */
  gone(key: BlockKey, sizeBytes: number, kept: boolean, from?: Keeper): void {
    if (!this.#tally.gone(key, sizeBytes, kept, from)) return;
    this.#gone++;
    this.#complete = false;
    this.#brought = false;
    // It may come again: then a count says that all is here.
    this.#evictionsSeen = -1;
  }

  /** Blocks went, or came, that nobody named. */
  doubt(): void {
    this.#gone++;
    this.#evictionsSeen = -1;
  }

  /** Nothing is known to be here any more. */
  forget(): void {
    this.#complete = false;
    this.#brought = false;
    this.#tally.adopt(new BlockTally());
  }
}
