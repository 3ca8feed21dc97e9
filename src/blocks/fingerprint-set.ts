/**
 * A set of blocks, by any key that ends in the digest, for walks over whole volumes: 11 to 22 bytes a key where a
 * `Set` of strings takes a hundred. Each may have some marks, which a walk keeps in no other place.
 *
 * It keeps 60 bits of each digest. Two blocks that agree in them count as one: by accident never, by intent only in
 * content that was made so, which then misses a prefetch or a count of its own and nothing else. Where a key stands
 * depends on secrets of this process as well: links may claim any digests, and such as all belong in one slot would make
 * each look-up a walk over the others.
 */
import { getRandomValues } from 'node:crypto';

/** A power of two. */
const FIRST_SLOTS = 1024;

const SECRETS = getRandomValues(new Uint32Array(3));
const [SECRET_A = 0, SECRET_B = 0, SECRET_C = 0] = SECRETS;

/** Bits below the digest's in the second word of a slot. */
const MARK_BITS = 4;
const MARKS = (1 << MARK_BITS) - 1;
/** Of whoever wants no more than to know what is in here. */
const PRESENT = 1;

export class FingerprintSet {
  /** Two words a slot; the second is 0 where it is empty, since what stands there has a mark. */
  #slots = new Uint32Array(FIRST_SLOTS * 2);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** True where `key` did not have `mark`, one bit of four, and was put in for it if need be. */
  add(key: string, mark = PRESENT): boolean {
    const high = wordAt(key, 4);
    const low = lowAt(key);
    const at = this.#find(high, low);
    const found = this.#slots[at + 1] as number;
    if ((found & mark) !== 0) return false;
    this.#slots[at] = high;
    this.#slots[at + 1] = low | (found & MARKS) | mark;
    // Three quarters full at the most: a search looks at a few slots.
    if (found === 0 && ++this.#size * 8 > this.#slots.length * 3) this.#grow();
    return true;
  }

  has(key: string, mark = PRESENT): boolean {
    if (this.#size === 0) return false;
    const at = this.#find(wordAt(key, 4), lowAt(key));
    return ((this.#slots[at + 1] as number) & mark) !== 0;
  }

  /** Takes `mark` from `key`, which has another one. */
  unmark(key: string, mark: number): void {
    const at = this.#find(wordAt(key, 4), lowAt(key));
    this.#slots[at + 1] = ((this.#slots[at + 1] as number) & ~mark) >>> 0;
  }

  /** True where `key` was there. What stands behind it moves up: a slot that was merely emptied would hide it. */
  delete(key: string): boolean {
    // Each block that goes is asked for in every volume: most have nothing here.
    if (this.#size === 0) return false;
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    const at = this.#find(wordAt(key, 4), lowAt(key));
    if (slots[at + 1] === 0) return false;
    let hole = at / 2;
    for (let slot = (hole + 1) & mask; slots[slot * 2 + 1] !== 0; slot = (slot + 1) & mask) {
      const high = slots[slot * 2] as number;
      const low = slots[slot * 2 + 1] as number;
      const home = mixed(high, withoutMarks(low)) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      slots[hole * 2] = high;
      slots[hole * 2 + 1] = low;
      hole = slot;
    }
    slots.fill(0, hole * 2, hole * 2 + 2);
    this.#size--;
    return true;
  }

  /** Where the pair stands, or the empty slot where it would. */
  #find(high: number, low: number): number {
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    for (let slot = mixed(high, low) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * 2;
      const there = slots[at + 1] as number;
      if (there === 0 || (slots[at] === high && withoutMarks(there) === low)) return at;
    }
  }

  #grow(): void {
    const former = this.#slots;
    this.#slots = new Uint32Array(former.length * 2);
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
