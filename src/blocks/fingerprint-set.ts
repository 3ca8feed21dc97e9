/**
 * A set of blocks, by any key that ends in the digest, for walks over whole volumes: 11 to 16 bytes a key where a
 * `Set` of strings takes a hundred. Each may have some marks, so that several who look at the same blocks do with one.
 *
 * It keeps 58 bits of each digest. Two blocks that agree in them count as one: by accident never, by intent only in
 * content that was made so, which then misses a prefetch or a count of its own and nothing else. Where a key stands
 * depends on secrets of this process as well: links may claim any digests, and such as all belong in one slot would make
 * each look-up a walk over the others.
 */
import { getRandomValues } from 'node:crypto';

const FIRST_SLOTS = 1024;
/** Half as much again: doubling would leave more than half of it free, and has twice as much of it at once. */
const GROWTH = 1.5;

const SECRETS = getRandomValues(new Uint32Array(3));
const [SECRET_A = 0, SECRET_B = 0, SECRET_C = 0] = SECRETS;

/** Bits below the digest's in the second word of a slot. */
const MARK_BITS = 6;
const MARKS = (1 << MARK_BITS) - 1;
/** Of whoever wants no more than to know what is in here. */
export const PRESENT = 1;

export class FingerprintSet {
  /** Two words a slot; the second is 0 where it is empty, since what stands there has a mark. */
  #slots = new Uint32Array(FIRST_SLOTS * 2);
  #size = 0;

  /** Keys that have any mark. */
  get size(): number {
    return this.#size;
  }

  /** True where `key` did not have `mark`, one bit of six, and was put in for it if need be. */
  add(key: string, mark = PRESENT): boolean {
    const high = wordAt(key, 4);
    const low = lowAt(key);
    const at = this.#find(high, low);
    const found = this.#slots[at + 1] as number;
    if ((found & mark) !== 0) return false;
    this.#slots[at] = high;
    this.#slots[at + 1] = (low | (found & MARKS) | mark) >>> 0;
    // Three quarters full at the most: a search looks at a few slots.
    if (found === 0 && ++this.#size * 8 > this.#slots.length * 3) this.#resize(Math.ceil(this.#places * GROWTH));
    return true;
  }

  has(key: string, mark = PRESENT): boolean {
    if (this.#size === 0) return false;
    const at = this.#find(wordAt(key, 4), lowAt(key));
    return ((this.#slots[at + 1] as number) & mark) !== 0;
  }

  /** True where `key` had `mark`, which is taken from it; without any it is not in here any more. */
  delete(key: string, mark = PRESENT): boolean {
    // Each block that goes is asked for in every volume: most have nothing here.
    if (this.#size === 0) return false;
    const at = this.#find(wordAt(key, 4), lowAt(key));
    const found = this.#slots[at + 1] as number;
    if ((found & mark) === 0) return false;
    const left = (found & ~mark) >>> 0;
    if ((left & MARKS) !== 0) this.#slots[at + 1] = left;
    else this.#empty(at / 2);
    return true;
  }

  /** Takes from all every mark but `mark`, and gives back the memory of those that have not that. */
  keepOnly(mark: number): void {
    const slots = this.#slots;
    let left = 0;
    for (let at = 1; at < slots.length; at += 2) {
      const there = slots[at] as number;
      const isLeft = (there & mark) !== 0;
      slots[at] = isLeft ? (withoutMarks(there) | mark) >>> 0 : 0;
      if (isLeft) left++;
    }
    this.#size = left;
    // Also where it is as large as it was: what stood behind those that are gone has to move up.
    this.#resize(Math.max(FIRST_SLOTS, Math.ceil((left * 4 * GROWTH) / 3)));
  }

  get #places(): number {
    return this.#slots.length / 2;
  }

  /** Where the pair stands, or the empty slot where it would. */
  #find(high: number, low: number): number {
    const slots = this.#slots;
    const places = this.#places;
    for (let slot = home(high, low, places); ; slot = after(slot, places)) {
      const at = slot * 2;
      const there = slots[at + 1] as number;
      if (there === 0 || (slots[at] === high && withoutMarks(there) === low)) return at;
    }
  }

  /** What stands behind a slot moves up: one that was merely emptied would hide it. */
  #empty(gap: number): void {
    const slots = this.#slots;
    const places = this.#places;
    let hole = gap;
    for (let slot = after(gap, places); slots[slot * 2 + 1] !== 0; slot = after(slot, places)) {
      const high = slots[slot * 2] as number;
      const low = slots[slot * 2 + 1] as number;
      const due = home(high, withoutMarks(low), places);
      if (distance(due, slot, places) < distance(hole, slot, places)) continue;
      slots[hole * 2] = high;
      slots[hole * 2 + 1] = low;
      hole = slot;
    }
    slots.fill(0, hole * 2, hole * 2 + 2);
    this.#size--;
  }

  #resize(places: number): void {
    const former = this.#slots;
    this.#slots = new Uint32Array(places * 2);
    for (let from = 0; from < former.length; from += 2) {
      const high = former[from] as number;
      const low = former[from + 1] as number;
      if (low === 0) continue;
      const at = this.#find(high, withoutMarks(low));
      this.#slots[at] = high;
      this.#slots[at + 1] = low;
    }
  }
}

/** Any number of places will do: the hash as a share of all there are, of these. */
function home(high: number, low: number, places: number): number {
  return Math.floor(((mixed(high, low) >>> 0) / 2 ** 32) * places);
}

function after(slot: number, places: number): number {
  return slot + 1 === places ? 0 : slot + 1;
}

/** From one slot on to the other. */
function distance(from: number, to: number, places: number): number {
  return to >= from ? to - from : to - from + places;
}

/** 32 bits that depend on all of both words and on the secrets: multiplied by odd numbers, the upper half folded in. */
function mixed(high: number, low: number): number {
  let hash = Math.imul(high ^ SECRET_A, SECRET_B | 1);
  hash = Math.imul((hash ^ (hash >>> 15)) + low, SECRET_C | 1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

/** Four bytes of the digest's end, which is uniformly distributed whatever the hash function. */
function wordAt(key: string, fromEnd: number): number {
  const at = key.length - fromEnd;
  const byte = (index: number) => key.charCodeAt(at + index) & 0xff;
  return ((byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3)) >>> 0;
}

/** The four bytes before those, but for what gives way to the marks. */
function lowAt(key: string): number {
  return (wordAt(key, 8) << MARK_BITS) >>> 0;
}

function withoutMarks(low: number): number {
  return (low & ~MARKS) >>> 0;
}
