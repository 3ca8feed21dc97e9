/**
 * Content keys in 32 bytes and a small number: the digest, and which of the usual beginnings stands before it (version,
 * codec, hash function, length: nearly always the same few). A key of another shape is kept as it is, beside.
 *
 * Equal keys are equal 32 bytes under equal numbers, and the other way round. They are hashed with secrets of this process:
 * links may claim any digests, and such as all belong in one place of a table would make each search a walk over the others.
 */
import { getRandomValues } from 'node:crypto';
import type { ContentKey } from '../unixfs/content-key.ts';

const PACKED_BYTES = 32;
const WORDS = PACKED_BYTES / 4;
/** Room for a beginning: three varints of nine bytes and the version; and eight-byte alignment of what follows. */
const HEAD_BYTES = 32;
/** Beginnings that get a number. Honest content has a handful; codecs are any number that a link claims. */
const MAX_HEADS = 255;
/** The number of what is kept beside: its 32 bytes hold a number of its own, and nothing else. */
const ODD = 0;

/** An odd key, but for its characters: a string, an object and places in two maps. */
const ODD_BYTES = 256;

const [SECRET_A = 0, SECRET_B = 0] = getRandomValues(new Uint32Array(2));

export class PackedKeys {
  readonly #heads: string[] = [''];
  readonly #headNumbers = new Map<string, number>();
  readonly #odd = new Map<ContentKey, { readonly number: number; count: number }>();
  readonly #oddByNumber = new Map<number, ContentKey>();
  #nextOdd = 1;
  #heapBytes = 0;
  readonly #scratch = Buffer.alloc(HEAD_BYTES + PACKED_BYTES);
  /** What `pack` made of the latest key. */
  readonly words = new Uint32Array(this.#scratch.buffer, this.#scratch.byteOffset + HEAD_BYTES, WORDS);
  head = ODD;

  /** What odd keys take of V8's heap, by an estimate that errs upward. */
  get heapBytes(): number {
    return this.#heapBytes;
  }

  /** Puts `key` into `words` and `head`. An odd one that nobody keeps is -1 there, like nothing that is kept. */
  pack(key: ContentKey): void {
    const headLength = key.length - PACKED_BYTES;
    // The digest's length is the last byte before it.
    if (headLength > 1 && headLength <= HEAD_BYTES && key.charCodeAt(headLength - 1) === PACKED_BYTES) {
      this.head = this.#headOf(key.slice(0, headLength));
      if (this.head !== ODD) {
        this.#scratch.write(key, HEAD_BYTES - headLength, 'latin1');
        return;
      }
    }
    this.head = ODD;
    this.words.fill(0);
    this.words[WORDS - 1] = this.#odd.get(key)?.number ?? 0xffff_ffff;
  }

  /** As `pack`, for a record that keeps it until `drop`. */
  keep(key: ContentKey): void {
    this.pack(key);
    if (this.head !== ODD) return;
    let odd = this.#odd.get(key);
    if (!odd) {
      odd = { number: this.#nextOdd++, count: 0 };
      this.#odd.set(key, odd);
      this.#oddByNumber.set(odd.number, key);
      this.#heapBytes += ODD_BYTES + key.length;
    }
    odd.count++;
    this.words[WORDS - 1] = odd.number;
  }

  /** The key that stands in `words` at `at`. What `pack` made is gone then. */
  unpack(head: number, words: Uint32Array, at: number): ContentKey {
    if (head === ODD) return this.#oddAt(words, at);
    const text = this.#heads[head] as string;
    // In one string, not in two that are joined when somebody looks.
    this.#scratch.write(text, HEAD_BYTES - text.length, 'latin1');
    for (let word = 0; word < WORDS; word++) this.words[word] = words[at + word] as number;
    return this.#scratch.toString('latin1', HEAD_BYTES - text.length) as ContentKey;
  }

  /** A record ends that kept what stands there. */
  drop(head: number, words: Uint32Array, at: number): void {
    if (head !== ODD) return;
    const key = this.#oddAt(words, at);
    const odd = this.#odd.get(key);
    if (!odd || --odd.count > 0) return;
    this.#odd.delete(key);
    this.#heapBytes -= ODD_BYTES + key.length;
    this.#oddByNumber.delete(odd.number);
  }

  #oddAt(words: Uint32Array, at: number): ContentKey {
    return this.#oddByNumber.get(words[at + WORDS - 1] as number) as ContentKey;
  }

  #headOf(head: string): number {
    const known = this.#headNumbers.get(head);
    if (known !== undefined || this.#heads.length > MAX_HEADS) return known ?? ODD;
    this.#heads.push(head);
    this.#headNumbers.set(head, this.#heads.length - 1);
    return this.#heads.length - 1;
  }
}

export function isEqual(words: Uint32Array, at: number, other: Uint32Array): boolean {
  for (let word = 0; word < WORDS; word++) if (words[at + word] !== other[word]) return false;
  return true;
}

/** Of the 32 bytes at `at`, and of what else tells records apart. */
export function hashWords(words: Uint32Array, at: number, more: number): number {
  let hash = more ^ SECRET_A;
  for (let word = 0; word < WORDS; word++) {
    hash = Math.imul(hash ^ (words[at + word] as number), SECRET_B | 1);
    hash ^= hash >>> 15;
  }
  return Math.imul(hash, 0x85ebca6b) ^ (hash >>> 13);
}
