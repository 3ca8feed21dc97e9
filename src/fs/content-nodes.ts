/**
 * The files and symlinks that somebody holds, by number and by content. The kernel holds a million where somebody has
 * walked over a million, so each is a record of 64 bytes outside V8's heap, found through two tables of slot numbers: 75
 * bytes in all, where an object, its key and its places in two maps took 200, which V8 walked over at each collection. Its
 * time of change, which most content has none of, takes 16 more.
 *
 * Of a raw block the size is a part of what it is: a link claims it, and what a lying one claims must not stick to an
 * honest one. Anything else says itself what it measures.
 */
import { CODEC_RAW, type ContentKey, codecOf } from '../unixfs/content-key.ts';
import { CountedValues } from './counted-values.ts';
import type { NodeId } from './file-system.ts';
import type { Owner } from './mounted-volume.ts';
import type { Appearance, ContentNode } from './node.ts';
import { hashWords, isEqual, PackedKeys } from './packed-keys.ts';
import { RecordPages } from './record-pages.ts';
import { SlotIndex } from './slot-index.ts';
import type { VolumeSet } from './volume-set.ts';

/** What a record holds, by its place among the doubles of the record… */
const ID = 0;
const SIZE = 1;
/** …and among its words of 32 bits. */
const LOOKUPS = 4;
const HOLDERS = 5;
/** Mode in 16 bits, the number of the key's beginning in 8, flags. */
const SHOWN = 6;
/** Where its time is, and 1; 0 for none. */
const TIME = 7;
const KEY = 8;
const WORDS = 16;

/** A time: seconds among the doubles, nanoseconds among the words. */
const TIME_BYTES = 16;
const TIME_NANOSECONDS = 2;

const SYMLINK = 1 << 24;
const SIZE_VERIFIED = 1 << 25;
const SIZE_CLAIMED = 1 << 26;
/** A node that was looked up so often is never forgotten: counts err upward. */
const MAX_LOOKUPS = 0xffff_ffff;

const NO_TIME = { mtimeSeconds: 0, mtimeNanoseconds: 0 } as const;

export class ContentNodes {
  readonly #records = new RecordPages(WORDS * 4);
  readonly #times = new RecordPages(TIME_BYTES);
  readonly #keys = new PackedKeys();
  readonly #holders = new CountedValues<VolumeSet>();
  readonly #ownerNumbers = new Map<Owner, number>();
  readonly #byId = new SlotIndex((slot) => hashId(this.#idAt(slot)));
  readonly #byContent = new SlotIndex((slot) => this.#contentHash(slot));
  /** What is looked for; of content the key is in `#keys`. */
  #soughtId: NodeId = 0;
  #soughtOwner: Owner | undefined;
  #soughtSize: number | undefined;
  readonly #isSoughtId = (slot: number) => this.#idAt(slot) === this.#soughtId;
  readonly #isSoughtContent = (slot: number) => this.#isSought(slot);

  get size(): number {
    return this.#byId.size;
  }

  /** What of it lies in V8's heap. */
  get heapBytes(): number {
    return this.#keys.heapBytes;
  }

  get(id: NodeId): ContentNode | undefined {
    const slot = this.#slotOf(id);
    return slot < 0 ? undefined : this.#node(slot);
  }

  /** An owner's node of that content, and of a raw block of that size. */
  find(owner: Owner, key: ContentKey, sizeBytes: number | undefined): ContentNode | undefined {
    const slot = this.#contentSlot(owner, key, sizeBytes);
    return slot < 0 ? undefined : this.#node(slot);
  }

  /** In the place of one of that number. */
  set(node: ContentNode): void {
    const { id, key, sizeBytes, appearance, lookups, holders, sizeVerified } = node;
    this.#delete(this.#slotOf(id));
    const slot = this.#records.take();
    const { doubles, words } = this.#records.page(slot);
    const at = this.#at(slot);
    this.#keys.keep(key);
    let shown = appearance.mode | (this.#keys.head << 16);
    if (appearance.kind === 'symlink') shown |= SYMLINK;
    if (sizeVerified) shown |= SIZE_VERIFIED;
    if (isClaimed(key)) shown |= SIZE_CLAIMED;
    doubles[at / 2 + ID] = id;
    doubles[at / 2 + SIZE] = sizeBytes;
    words[at + TIME] = this.#keepTime(appearance);
    words[at + LOOKUPS] = Math.min(lookups, MAX_LOOKUPS);
    words[at + HOLDERS] = this.#holders.take(holders);
    words[at + SHOWN] = shown;
    words.set(this.#keys.words, at + KEY);
    this.#byId.add(slot);
    this.#byContent.add(slot);
  }

  /** Brings `node` up to date; false where it has ended. */
  refresh(node: ContentNode): boolean {
    const slot = this.#slotOf(node.id);
    if (slot < 0) return false;
    const { words } = this.#records.page(slot);
    node.lookups = words[this.#at(slot) + LOOKUPS] as number;
    node.holders = this.#holdersAt(slot);
    return true;
  }

  /** Of a node that has not ended, as the next two. */
  setLookups(node: ContentNode, lookups: number): void {
    const slot = this.#slotOf(node.id);
    const { words } = this.#records.page(slot);
    const at = this.#at(slot) + LOOKUPS;
    if (words[at] !== MAX_LOOKUPS) words[at] = Math.min(lookups, MAX_LOOKUPS);
    node.lookups = words[at] as number;
  }

  setHolders(node: ContentNode, holders: VolumeSet): void {
    const slot = this.#slotOf(node.id);
    const { words } = this.#records.page(slot);
    const at = this.#at(slot) + HOLDERS;
    const former = words[at] as number;
    words[at] = this.#holders.take(holders);
    this.#holders.give(former);
    node.holders = holders;
  }

  setSizeVerified(id: NodeId): void {
    const slot = this.#slotOf(id);
    if (slot < 0) return;
    const { words } = this.#records.page(slot);
    const at = this.#at(slot) + SHOWN;
    words[at] = (words[at] as number) | SIZE_VERIFIED;
  }

  /** Does nothing where it has ended. */
  delete(id: NodeId): void {
    this.#delete(this.#slotOf(id));
  }

  /** Those that come or go meanwhile may be among them or not. */
  *nodes(): Generator<ContentNode, undefined> {
    for (const slot of this.#records.slots()) if (this.#idAt(slot) !== 0) yield this.#node(slot);
  }

  /** Likewise. */
  *ids(): Generator<NodeId, undefined> {
    for (const slot of this.#records.slots()) {
      const id = this.#idAt(slot);
      if (id !== 0) yield id;
    }
  }

  #node(slot: number): ContentNode {
    const { doubles, words } = this.#records.page(slot);
    const at = this.#at(slot);
    const shown = words[at + SHOWN] as number;
    const holders = this.#holdersAt(slot);
    return {
      id: doubles[at / 2 + ID] as number,
      key: this.#keys.unpack(headOf(shown), words, at + KEY),
      sizeBytes: doubles[at / 2 + SIZE] as number,
      appearance: {
        kind: shown & SYMLINK ? 'symlink' : 'file',
        mode: shown & 0xffff,
        ...this.#timeAt(words[at + TIME] as number),
        owner: ownerOf(holders),
      },
      lookups: words[at + LOOKUPS] as number,
      holders,
      sizeVerified: (shown & SIZE_VERIFIED) !== 0,
    };
  }

  #delete(slot: number): void {
    if (slot < 0) return;
    this.#byId.delete(slot);
    this.#byContent.delete(slot);
    const { doubles, words } = this.#records.page(slot);
    const at = this.#at(slot);
    this.#keys.drop(headOf(words[at + SHOWN] as number), words, at + KEY);
    this.#holders.give(words[at + HOLDERS] as number);
    if (words[at + TIME] !== 0) this.#times.give((words[at + TIME] as number) - 1);
    doubles[at / 2 + ID] = 0;
    this.#records.give(slot);
  }

  #keepTime({ mtimeSeconds, mtimeNanoseconds }: Appearance): number {
    if (mtimeSeconds === 0 && mtimeNanoseconds === 0) return 0;
    const slot = this.#times.take();
    const { doubles, words } = this.#times.page(slot);
    const at = this.#times.index(slot) * (TIME_BYTES / 4);
    doubles[at / 2] = mtimeSeconds;
    words[at + TIME_NANOSECONDS] = mtimeNanoseconds;
    return slot + 1;
  }

  #timeAt(time: number): Pick<Appearance, 'mtimeSeconds' | 'mtimeNanoseconds'> {
    if (time === 0) return NO_TIME;
    const { doubles, words } = this.#times.page(time - 1);
    const at = this.#times.index(time - 1) * (TIME_BYTES / 4);
    return { mtimeSeconds: doubles[at / 2] as number, mtimeNanoseconds: words[at + TIME_NANOSECONDS] as number };
  }

  #slotOf(id: NodeId): number {
    this.#soughtId = id;
    return this.#byId.find(hashId(id), this.#isSoughtId);
  }

  #contentSlot(owner: Owner, key: ContentKey, sizeBytes: number | undefined): number {
    this.#soughtOwner = owner;
    this.#soughtSize = isClaimed(key) ? (sizeBytes ?? -1) : undefined;
    this.#keys.pack(key);
    const hash = hashWords(this.#keys.words, 0, this.#ownerNumber(owner) ^ (this.#soughtSize ?? 0));
    return this.#byContent.find(hash, this.#isSoughtContent);
  }

  #isSought(slot: number): boolean {
    const { doubles, words } = this.#records.page(slot);
    const at = this.#at(slot);
    return (
      isEqual(words, at + KEY, this.#keys.words) &&
      headOf(words[at + SHOWN] as number) === this.#keys.head &&
      (this.#soughtSize === undefined || doubles[at / 2 + SIZE] === this.#soughtSize) &&
      ownerOf(this.#holdersAt(slot)) === this.#soughtOwner
    );
  }

  #contentHash(slot: number): number {
    const { doubles, words } = this.#records.page(slot);
    const at = this.#at(slot);
    const claimedBytes = (words[at + SHOWN] as number) & SIZE_CLAIMED ? (doubles[at / 2 + SIZE] as number) : 0;
    return hashWords(words, at + KEY, this.#ownerNumber(ownerOf(this.#holdersAt(slot))) ^ claimedBytes);
  }

  #ownerNumber(owner: Owner): number {
    let number = this.#ownerNumbers.get(owner);
    if (number === undefined) {
      // Far apart, so that with the sizes of blocks they make different numbers.
      number = Math.imul(this.#ownerNumbers.size, 0x9e3779b1);
      this.#ownerNumbers.set(owner, number);
    }
    return number;
  }

  #holdersAt(slot: number): VolumeSet {
    return this.#holders.get(this.#records.page(slot).words[this.#at(slot) + HOLDERS] as number);
  }

  #idAt(slot: number): NodeId {
    return this.#records.page(slot).doubles[this.#at(slot) / 2 + ID] as number;
  }

  /** Where its words begin in its page. */
  #at(slot: number): number {
    return this.#records.index(slot) * WORDS;
  }
}

function isClaimed(key: ContentKey): boolean {
  return codecOf(key) === CODEC_RAW;
}

function headOf(shown: number): number {
  return (shown >>> 16) & 0xff;
}

function ownerOf({ volumes }: VolumeSet): Owner {
  return (volumes[0] as VolumeSet['volumes'][number]).owner;
}

/** Numbers follow each other: spread over all of 32 bits, the lowest ones too. */
function hashId(id: NodeId): number {
  const hash = Math.imul((id >>> 0) ^ Math.floor(id / 2 ** 32), 0x9e3779b1);
  return hash ^ (hash >>> 15);
}
