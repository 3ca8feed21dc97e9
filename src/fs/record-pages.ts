/**
 * Records of one size, by slot number, in pages of plain memory, which V8 does not walk over when it collects garbage.
 * Shared memory, although nobody shares it: of any other V8 takes account, and lets garbage grow in proportion. A page that
 * holds nothing is given back, but for one.
 */

/** Records a page: some 300 KB, so that what a page is short of being full is little beside a million records. */
const SLOT_BITS = 12;
const SLOTS = 1 << SLOT_BITS;

/** Two views of the same memory; record `index` begins at `index` times the record's size in each. */
export interface Page {
  readonly doubles: Float64Array;
  readonly words: Uint32Array;
}

interface PageInUse extends Page {
  used: number;
  /** Slots from here on were never given out. */
  fresh: number;
  /** Of those that were given back, the latest. */
  readonly free: number[];
}

export class RecordPages {
  readonly #recordBytes: number;
  readonly #pages: (PageInUse | undefined)[] = [];
  /** Numbers of pages that have room, and of those that have no memory. */
  readonly #roomy = new Set<number>();
  readonly #vacant: number[] = [];
  #empty: number | undefined;

  /** `recordBytes` is a multiple of eight. */
  constructor(recordBytes: number) {
    this.#recordBytes = recordBytes;
  }

  /** The page of a slot that is in use. */
  page(slot: number): Page {
    return this.#pages[slot >>> SLOT_BITS] as Page;
  }

  /** The record's position in its page. */
  index(slot: number): number {
    return slot & (SLOTS - 1);
  }

  /** A slot for a new record, which holds what an earlier one left, or zeros. */
  take(): number {
    const [roomy] = this.#roomy;
    const number = roomy ?? this.#addPage();
    const page = this.#pages[number] as PageInUse;
    const index = page.free.pop() ?? page.fresh++;
    if (++page.used === SLOTS) this.#roomy.delete(number);
    if (this.#empty === number) this.#empty = undefined;
    return (number << SLOT_BITS) | index;
  }

  give(slot: number): void {
    const number = slot >>> SLOT_BITS;
    const page = this.#pages[number] as PageInUse;
    page.free.push(this.index(slot));
    this.#roomy.add(number);
    if (--page.used > 0) return;
    if (this.#empty === undefined) this.#empty = number;
    else this.#removePage(number);
  }

  /** Slots of all pages, in use or not, but for those that were never given out. Goes on while slots come and go. */
  *slots(): Generator<number, undefined> {
    for (let number = 0; number < this.#pages.length; number++) {
      for (let index = 0; index < (this.#pages[number]?.fresh ?? 0); index++) yield (number << SLOT_BITS) | index;
    }
  }

  #addPage(): number {
    const memory = new SharedArrayBuffer(SLOTS * this.#recordBytes);
    const page = {
      doubles: new Float64Array(memory),
      words: new Uint32Array(memory),
      used: 0,
      fresh: 0,
      free: [],
    };
    const number = this.#vacant.pop() ?? this.#pages.length;
    this.#pages[number] = page;
    this.#roomy.add(number);
    return number;
  }

  #removePage(number: number): void {
    this.#pages[number] = undefined;
    this.#vacant.push(number);
    this.#roomy.delete(number);
  }
}
