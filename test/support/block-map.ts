/**
 * A BlockReader over a map, for tests: blocks that are here, that come later, that nobody has, and that never come.
 *
 * A block that is put is "here": answered in the same turn. `remote` blocks are answered in a later one and counted;
 * `silent` ones only fail, when their caller aborts or `expire` plays the passing of their time-out.
 */
import { code as DAG_PB, decode } from '@ipld/dag-pb';
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../src/base/errors.ts';
import { chain, type MaybePromise } from '../../src/base/maybe-promise.ts';
import { type Block, type BlockKey, blockKey } from '../../src/blocks/block.ts';
import type { BlockReader, WantOptions } from '../../src/blocks/block-reader.ts';
import type { DagScope } from '../../src/blocks/block-source.ts';
import type { BlockEnds } from '../../src/blocks/block-store.ts';

interface Silent {
  readonly cid: CID;
  readonly options: WantOptions;
  readonly expire: () => void;
}

export class BlockMap implements BlockReader {
  readonly blocks = new Map<BlockKey, Uint8Array>();
  readonly #cids = new Map<BlockKey, CID>();
  /** How long a whole tree takes to come. */
  treeTurns = 1;
  /** Every block asked for that was not here, in order; with its priority. */
  readonly fetched: { cid: CID; priority: string }[] = [];
  readonly ranges: { root: CID; from: number; to: number }[] = [];
  readonly trees: { root: CID; treeBytes: number }[] = [];
  /** Of directories, by name: brought as trees are. */
  readonly entries: { root: CID; entry: string }[] = [];
  /** True: trees that are asked for come, as from a source that can. */
  sendsTrees = false;
  readonly rangeReads: { cid: CID; start: number; end: number }[] = [];
  /** Blocks that a reader was said to come to. */
  readonly expected: CID[] = [];
  /** How often it was asked whether a block is here. */
  hasCalls = 0;
  readonly #remote = new Set<BlockKey>();
  readonly #silent = new Set<BlockKey>();
  #waiting: Silent[] = [];
  /** The most wants that were outstanding at once. */
  peak = 0;
  #outstanding = 0;

  put(cid: CID, bytes: Uint8Array): CID {
    this.blocks.set(blockKey(cid), bytes);
    this.#cids.set(blockKey(cid), cid);
    return cid;
  }

  /** All blocks, each by the CID under which it was put last. */
  *named(): Generator<Block> {
    for (const [key, bytes] of this.blocks) yield { cid: this.#cids.get(key) as CID, bytes };
  }

  /** Nobody has it any more. */
  remove(cid: CID): void {
    this.blocks.delete(blockKey(cid));
  }

  makeRemote(...cids: CID[]): void {
    for (const cid of cids) this.#remote.add(blockKey(cid));
  }

  makeAllRemote(): void {
    for (const key of this.blocks.keys()) this.#remote.add(key);
  }

  makeSilent(cid: CID): void {
    this.#silent.add(blockKey(cid));
  }

  get waiting(): readonly Silent[] {
    return this.#waiting;
  }

  /** Lets the time-out of every waiting want pass. */
  expire(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { expire } of waiting) expire();
  }

  get(cid: CID, options: WantOptions): MaybePromise<Uint8Array> {
    if (cid.multihash.code === 0) return cid.multihash.digest;
    const key = blockKey(cid);
    if (this.#silent.has(key)) return this.#wait(cid, options);
    const bytes = this.blocks.get(key);
    if (bytes && !this.#remote.has(key)) return bytes;
    this.fetched.push({ cid, priority: options.priority });
    this.peak = Math.max(this.peak, ++this.#outstanding);
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#outstanding--;
        if (!bytes) return reject(new CodedError('BLOCK_UNAVAILABLE', `no source has ${cid}`));
        this.#remote.delete(key);
        options.account?.(cid, bytes.length, { priority: options.priority, origin: 'map', fetched: true });
        resolve(bytes);
      });
    });
  }

  getRange(cid: CID, start: number, end: number, options: WantOptions): MaybePromise<Uint8Array> {
    this.rangeReads.push({ cid, start, end });
    return chain(this.get(cid, options), (bytes) => {
      if (end > bytes.length) throw new CodedError('DAG_INVALID', `${cid} is shorter than ${end}`);
      return bytes.subarray(start, end);
    });
  }

  readToEnd(): void {}

  ends(_cid: CID): BlockEnds | undefined {
    return undefined;
  }

  expect(cid: CID): void {
    this.expected.push(cid);
  }

  has(cid: CID): boolean {
    this.hasCalls++;
    return this.isKept(blockKey(cid));
  }

  isKept(key: BlockKey): boolean {
    return key.charCodeAt(0) === 0 || (this.blocks.has(key) && !this.#remote.has(key) && !this.#silent.has(key));
  }

  async fetchRange(root: CID, scope: DagScope, options: WantOptions): Promise<number> {
    if (scope.entry !== undefined) return this.#bringEntry(root, scope.entry, options);
    if (!('treeBytes' in scope)) {
      this.ranges.push({ root, from: scope.from, to: scope.to });
      return 0;
    }
    this.trees.push({ root, treeBytes: scope.treeBytes });
    if (!this.sendsTrees) return 0;
    for (let turn = 0; turn < this.treeTurns; turn++) await new Promise(setImmediate);
    return this.#bring(root, options);
  }

  async #bringEntry(root: CID, entry: string, options: WantOptions): Promise<number> {
    this.entries.push({ root, entry });
    if (!this.sendsTrees) return 0;
    for (let turn = 0; turn < this.treeTurns; turn++) await new Promise(setImmediate);
    const bytes = this.blocks.get(blockKey(root));
    const link = bytes && decode(bytes).Links.find(({ Name }) => Name === entry);
    this.#remote.delete(blockKey(root));
    return link ? 1 + this.#bring(link.Hash, options) : 1;
  }

  #bring(root: CID, options: WantOptions): number {
    const key = blockKey(root);
    this.#remote.delete(key);
    const bytes = this.blocks.get(key);
    if (!bytes) return 0;
    options.account?.(root, bytes.length, { priority: options.priority, origin: 'map', fetched: true });
    if (root.code !== DAG_PB) return 1;
    return decode(bytes).Links.reduce((count, { Hash }) => count + this.#bring(Hash, options), 1);
  }

  #wait(cid: CID, options: WantOptions): Promise<Uint8Array> {
    this.fetched.push({ cid, priority: options.priority });
    return new Promise((_, reject) => {
      const expire = () => reject(new CodedError('BLOCK_TIMEOUT', `${cid} did not come`));
      const silent = { cid, options, expire };
      this.#waiting.push(silent);
      options.signal?.addEventListener('abort', () => {
        this.#waiting = this.#waiting.filter((other) => other !== silent);
        reject(new CodedError('ABORTED', 'the caller left'));
      });
    });
  }
}
