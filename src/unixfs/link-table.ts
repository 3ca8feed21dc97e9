/**
 * The links of a DAG node, or the entries of a directory, in columns: positions into one buffer instead of an object, a
 * string and a CID for each. A link costs 24 bytes beside its own, so a directory of a million entries fits in 80 MB.
 *
 * Never changes once built. Names are bytes, because that is what a file system's names are: decoding them to text and
 * back would lose those that are no UTF-8.
 */
import { CID } from 'multiformats/cid';
import { CODEC_RAW, type ContentKey, contentKeyAt } from './content-key.ts';

const COLUMNS = 4;

/** Takes copies of links: `LinkTableBuilder`. */
export interface LinkSink {
  append(cid: Uint8Array, name: Uint8Array, size: number): void;
}

export class LinkTable {
  readonly count: number;
  /** As a `Buffer`, since making one for each key would cost more than the key. */
  readonly #bytes: Buffer;
  /** Four a link: start and end of its CID, start and end of its name. */
  readonly #positions: Uint32Array;
  readonly #sizes: Float64Array;
  /** Link numbers in the order of their names, for tables that are not sorted; made on the first `indexOf`. */
  #byName: Uint32Array | undefined;
  #sorted: boolean | undefined;

  /** Takes over the arrays; `positions` as above, `sizes` NaN where a link states none. */
  constructor(bytes: Uint8Array, positions: Uint32Array, sizes: Float64Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#positions = positions;
    this.#sizes = sizes;
    this.count = sizes.length;
  }

  /** What the table keeps alive, roughly. */
  get memoryBytes(): number {
    return this.#bytes.byteLength + this.count * 28 + 400;
  }

  /** A view, not a copy. */
  name(link: number): Uint8Array {
    return this.#bytes.subarray(this.nameStart(link), this.nameEnd(link));
  }

  key(link: number): ContentKey {
    return contentKeyAt(this.#bytes, this.#at(link, 0), this.#at(link, 1));
  }

  /** As the link spells it: version 0 stays version 0. It keeps the table's buffer. */
  cid(link: number): CID {
    return CID.decode(this.#bytes.subarray(this.#at(link, 0), this.#at(link, 1)));
  }

  /** True for a CIDv1 of the raw codec: then the link's size is the file's, with no need of its block. */
  isRaw(link: number): boolean {
    const start = this.#at(link, 0);
    return this.#bytes[start] === 1 && this.#bytes[start + 1] === CODEC_RAW;
  }

  /** The link's Tsize: of a raw block its length, of anything else no more than a hint. Nobody has verified it. */
  size(link: number): number | undefined {
    const size = this.#sizes[link] as number;
    return Number.isSafeInteger(size) ? size : undefined;
  }

  nameStart(link: number): number {
    return this.#at(link, 2);
  }

  nameEnd(link: number): number {
    return this.#at(link, 3);
  }

  /** The buffer that `nameStart` and `nameEnd` point into. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The first link of that name, or -1. */
  indexOf(name: Uint8Array): number {
    const order = this.sorted ? undefined : this.byName();
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compareTo(order ? (order[middle] as number) : middle, name) < 0) low = middle + 1;
      else high = middle;
    }
    if (low === this.count) return -1;
    const link = order ? (order[low] as number) : low;
    return this.#compareTo(link, name) === 0 ? link : -1;
  }

  /** True where the names strictly ascend byte by byte, as most writers leave them: then none comes twice. */
  get sorted(): boolean {
    if (this.#sorted === undefined) {
      let sorted = true;
      for (let link = 1; sorted && link < this.count; link++) sorted = this.compare(link - 1, link) < 0;
      this.#sorted = sorted;
    }
    return this.#sorted;
  }

  /** Link numbers by name; equal names in the order of the links. */
  byName(): Uint32Array {
    if (!this.#byName) {
      const order = Uint32Array.from({ length: this.count }, (_, link) => link);
      this.#byName = order.sort((a, b) => this.compare(a, b) || a - b);
    }
    return this.#byName;
  }

  compare(a: number, b: number): number {
    return compareBytes(
      this.#bytes,
      this.nameStart(a),
      this.nameEnd(a),
      this.#bytes,
      this.nameStart(b),
      this.nameEnd(b),
    );
  }

  /** The table of those `links` alone, over the same buffer. */
  select(links: readonly number[]): LinkTable {
    const positions = new Uint32Array(links.length * COLUMNS);
    const sizes = new Float64Array(links.length);
    for (const [index, link] of links.entries()) {
      positions.set(this.#positions.subarray(link * COLUMNS, (link + 1) * COLUMNS), index * COLUMNS);
      sizes[index] = this.#sizes[link] as number;
    }
    return new LinkTable(this.#bytes, positions, sizes);
  }

  /** Appends link `link` to `builder`, its name without the first `prefixLength` bytes. */
  copyTo(builder: LinkSink, link: number, prefixLength: number): void {
    const cid = this.#bytes.subarray(this.#at(link, 0), this.#at(link, 1));
    const name = this.#bytes.subarray(this.nameStart(link) + prefixLength, this.nameEnd(link));
    builder.append(cid, name, this.#sizes[link] as number);
  }

  #at(link: number, column: number): number {
    return this.#positions[link * COLUMNS + column] as number;
  }

  #compareTo(link: number, name: Uint8Array): number {
    return compareBytes(this.#bytes, this.nameStart(link), this.nameEnd(link), name, 0, name.length);
  }
}

function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart);
  for (let at = 0; at < length; at++) {
    const difference = (a[aStart + at] as number) - (b[bStart + at] as number);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}
