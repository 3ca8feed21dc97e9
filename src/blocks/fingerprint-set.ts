/**
 * A set of blocks, by any key that ends in the digest, for walks over whole volumes: 16 to 32 bytes a key where a
 * `Set` of strings takes a hundred.
 *
 * It keeps 64 bits of each digest. Two blocks that agree in them count as one: by accident never, by intent only in
 * content that was made so, which then misses a prefetch or a count of its own and nothing else. Where a key stands
 * depends on secrets of this process as well: links may claim any digests, and such as all belong in one slot would make
 * each look-up a walk over the others.
 */
import { getRandomValues } from 'node:crypto';

/** A power of two. */
const FIRST_SLOTS = 1024;

const SECRETS = getRandomValues(new Uint32Array(3));
const [SECRET_A = 0, SECRET_B = 0, SECRET_C = 0] = SECRETS;

export class FingerprintSet {
  /** Two words a slot; both 0 where it is empty. */
  #slots = new Uint32Array(FIRST_SLOTS * 2);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** True where `key` was not there. */
  add(key: string): boolean {
    if (!this.#insert(wordAt(key, 4), wordAt(key, 8) || 1)) return false;
    // Half full at the most: probes stay short.
    if (++this.#size * 4 > this.#slots.length) this.#grow();
    return true;
  }

  has(key: string): boolean {
    if (this.#size === 0) return false;
    const high = wordAt(key, 4);
    const low = wordAt(key, 8) || 1;
    const at = this.#find(high, low);
    return this.#slots[at + 1] !== 0;
  }

  /** True where `key` was there. What stands behind it moves up: a slot that was merely emptied would hide it. */
  delete(key: string): boolean {
    // Each block that goes is asked for in every volume: most have nothing here.
    if (this.#size === 0) return false;
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    const at = this.#find(wordAt(key, 4), wordAt(key, 8) || 1);
    if (slots[at + 1] === 0) return false;
    let hole = at / 2;
    for (let slot = (hole + 1) & mask; slots[slot * 2 + 1] !== 0; slot = (slot + 1) & mask) {
      const high = slots[slot * 2] as number;
      const low = slots[slot * 2 + 1] as number;
      const home = mixed(high, low) & mask;
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
    const mask = this.#slots.length / 2 - 1;
    for (let slot = mixed(high, low) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * 2;
      if (this.#slots[at + 1] === 0) return at;
      if (this.#slots[at] === high && this.#slots[at + 1] === low) return at;
    }
  }

  #insert(high: number, low: number): boolean {
    const at = this.#find(high, low);
    if (this.#slots[at + 1] !== 0) return false;
    this.#slots[at] = high;
    this.#slots[at + 1] = low;
    return true;
  }

  #grow(): void {
    const former = this.#slots;
    this.#slots = new Uint32Array(former.length * 2);
    for (let at = 0; at < former.length; at += 2) {
      if (former[at + 1] !== 0) this.#insert(former[at] as number, former[at + 1] as number);
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
