/**
 * What each block of a tree measures: written down as they are made, and looked through once, for the few that somebody asks
 * for at the end. 20 bytes a block, where a map by their keys takes 130, and a tree may have millions of them.
 *
 * 16 bytes of each digest stand for it: of blocks that are hashed here, no two agree in them.
 */
import type { Block, BlockKey } from '../../blocks/block.ts';

const DIGEST_BYTES = 16;
const ENTRY_BYTES = DIGEST_BYTES + 4;
const ENTRIES_A_PAGE = 16 * 1024;

export class BlockSizes {
  readonly #pages: Buffer[] = [];
  #inLast = ENTRIES_A_PAGE;

  add({ cid, bytes }: Block): void {
    if (this.#inLast === ENTRIES_A_PAGE) {
      this.#pages.push(Buffer.allocUnsafeSlow(ENTRIES_A_PAGE * ENTRY_BYTES));
      this.#inLast = 0;
    }
    const page = this.#pages.at(-1) as Buffer;
    const at = this.#inLast++ * ENTRY_BYTES;
    page.set(cid.multihash.digest.subarray(-DIGEST_BYTES), at);
    page.writeUInt32LE(bytes.length, at + DIGEST_BYTES);
  }

  /** Of those of `keys` that were added. */
  of(keys: Iterable<BlockKey>): ReadonlyMap<BlockKey, number> {
    const wanted = new Map<string, BlockKey>();
    for (const key of keys) wanted.set(key.slice(-DIGEST_BYTES), key);
    const sizes = new Map<BlockKey, number>();
    for (const [index, page] of this.#pages.entries()) {
      const entries = index === this.#pages.length - 1 ? this.#inLast : ENTRIES_A_PAGE;
      for (let at = 0; at < entries * ENTRY_BYTES; at += ENTRY_BYTES) {
        const key = wanted.get(page.toString('latin1', at, at + DIGEST_BYTES));
        if (key !== undefined) sizes.set(key, page.readUInt32LE(at + DIGEST_BYTES));
      }
    }
    return sizes;
  }
}
