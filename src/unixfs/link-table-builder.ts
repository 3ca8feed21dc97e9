/**
 * Builds a `LinkTable`: of one block's links by their positions in it, or of many blocks' by copying.
 */
import { LinkTable } from './link-table.ts';

/** As in `LinkTable`: start and end of a link's CID, start and end of its name. */
const COLUMNS = 4;

/** Either `add` for links of the one `block`, or `append`. */
export class LinkTableBuilder {
  readonly #expectedLinks: number;
  #bytes: Uint8Array;
  #length = 0;
  #positions = new Uint32Array(0);
  #sizes = new Float64Array(0);
  #count = 0;

  /** With `block`, `add` alone may be used. Nothing is allocated for links before there is one: most blocks are leaves. */
  constructor(expectedLinks: number, block?: Uint8Array) {
    this.#expectedLinks = expectedLinks;
    this.#bytes = block ?? new Uint8Array(64 * expectedLinks);
  }

  get count(): number {
    return this.#count;
  }

  add(cidStart: number, cidEnd: number, nameStart: number, nameEnd: number, size: number): void {
    if (this.#count === this.#sizes.length) {
      const capacity = this.#count === 0 ? Math.max(1, this.#expectedLinks) : this.#count * 2 + 8;
      this.#positions = grown(this.#positions, new Uint32Array(capacity * COLUMNS));
      this.#sizes = grown(this.#sizes, new Float64Array(capacity));
    }
    const at = this.#count * COLUMNS;
    this.#positions[at] = cidStart;
    this.#positions[at + 1] = cidEnd;
    this.#positions[at + 2] = nameStart;
    this.#positions[at + 3] = nameEnd;
    this.#sizes[this.#count++] = size;
  }

  append(cid: Uint8Array, name: Uint8Array, size: number): void {
    const nameStart = this.#length + cid.length;
    const end = nameStart + name.length;
    if (end > this.#bytes.length) this.#bytes = grown(this.#bytes, new Uint8Array(end * 2));
    this.#bytes.set(cid, this.#length);
    this.#bytes.set(name, nameStart);
    this.add(this.#length, nameStart, nameStart, end, size);
    this.#length = end;
  }

  build(): LinkTable {
    const exact = this.#count === this.#sizes.length;
    const bytes = this.#length > 0 ? this.#bytes.slice(0, this.#length) : this.#bytes;
    const positions = exact ? this.#positions : this.#positions.slice(0, this.#count * COLUMNS);
    return new LinkTable(bytes, positions, exact ? this.#sizes : this.#sizes.slice(0, this.#count));
  }
}

function grown<T extends Uint8Array | Uint32Array | Float64Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
