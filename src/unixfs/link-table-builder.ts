/**
 * Builds a `LinkTable`: of one block's links by their positions in it, or of many blocks' by copying.
 *
 * Memory that has become too small, or is larger than what came, is given up at once and not left to be collected: of a
 * directory of a million entries that would be three times what the table takes.
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
    if (this.#count === 0) {
      const capacity = Math.max(1, this.#expectedLinks);
      this.#positions = new Uint32Array(capacity * COLUMNS);
      this.#sizes = new Float64Array(capacity);
    } else if (this.#count === this.#sizes.length) this.#resize(larger(this.#count));
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
    if (end > this.#bytes.length) this.#bytes = new Uint8Array(resized(this.#bytes, larger(end)));
    this.#bytes.set(cid, this.#length);
    this.#bytes.set(name, nameStart);
    this.add(this.#length, nameStart, nameStart, end, size);
    this.#length = end;
  }

  /** Once: the table takes the memory over. */
  build(): LinkTable {
    if (this.#length > 0) this.#bytes = new Uint8Array(resized(this.#bytes, this.#length));
    if (this.#count < this.#sizes.length) this.#resize(this.#count);
    return new LinkTable(this.#bytes, this.#positions, this.#sizes);
  }

  #resize(links: number): void {
    this.#positions = new Uint32Array(resized(this.#positions, links * COLUMNS * 4));
    this.#sizes = new Float64Array(resized(this.#sizes, links * 8));
  }
}

function larger(count: number): number {
  return Math.ceil(count * 1.5) + 8;
}

/** Memory of `byteLength` that begins as `from` does, in its place. */
function resized({ buffer }: Uint8Array | Uint32Array | Float64Array, byteLength: number): ArrayBuffer {
  return (buffer as ArrayBuffer).transfer(byteLength);
}
