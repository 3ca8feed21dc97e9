/**
 * The way to a block, from the nearest place to the farthest: the CID itself (identity), memory, the stores on this
 * machine in order, the want queue. What the queue brings is kept (memory, sinks) before its callers see it.
 *
 * What always holds: every byte handed out was verified, here or when it was admitted; what is on this machine is
 * answered without a source, and without a promise where the place answers so.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import { type BlockKey, blockKey } from './block.ts';
import { isLent } from './block-memory.ts';
import type { BlockReader, WantOptions } from './block-reader.ts';
import type { DagScope } from './block-source.ts';
import type { BlockEnds, BlockSink, BlockStore } from './block-store.ts';
import type { RangeOptions } from './queue/range-fetch.ts';
import { WantQueue } from './queue/want-queue.ts';
import type { WantQueueOptions } from './queue/want-queue-options.ts';
import { checkCid, identityBytes } from './verify.ts';

/** Memory answers at once. */
interface Memory extends BlockStore, BlockSink {
  get(key: BlockKey): Uint8Array | undefined;
  drop(key: BlockKey): void;
}

export interface BlockServiceOptions extends Omit<WantQueueOptions, 'onVerified'> {
  /** Blocks just used (`MemoryCache`). */
  readonly memory: Memory;
  /** Places on this machine, fastest first. Not closed here. */
  readonly stores: readonly BlockStore[];
  /** Who keeps what sources send. */
  readonly sinks: readonly BlockSink[];
}

interface Found {
  readonly bytes: Uint8Array;
  readonly origin: string;
}

export class BlockService implements BlockReader {
  readonly #memory: Memory;
  readonly #stores: readonly BlockStore[];
  /** Memory, then the stores. */
  readonly #places: readonly BlockStore[];
  readonly #sinks: readonly BlockSink[];
  readonly #queue: WantQueue;

  constructor({ memory, stores, sinks, ...queueOptions }: BlockServiceOptions) {
    this.#memory = memory;
    this.#stores = stores;
    this.#places = [memory, ...stores];
    this.#sinks = sinks;
    this.#queue = new WantQueue({
      ...queueOptions,
      onVerified: (cid, bytes, priority) => {
        // A background fill of any size must not push out what readers use, as long as something else keeps it.
        if (priority !== 'background' || sinks.length === 0) memory.admit(cid, bytes, priority);
        for (const sink of sinks) sink.admit(cid, bytes, priority);
      },
    });
  }

  /** The sources' state, for `status`; cheapest first. */
  get sources() {
    return this.#queue.sources;
  }

  /** Wants, blocks, bytes and waits by priority, for `status` and metrics. */
  get stats() {
    return this.#queue.stats;
  }

  /** Blocks that somebody waits for, by priority, for metrics. */
  get waiting() {
    return this.#queue.waiting;
  }

  /** Wants and ranges under way. */
  get pending(): number {
    return this.#queue.pending;
  }

  get(cid: CID, options: WantOptions): MaybePromise<Uint8Array> {
    const key = blockKey(cid);
    const local = this.#local(cid, (store) => store.get(key));
    return chain(local, (found) => {
      if (found === undefined) return this.#fetch(cid, options);
      // From disk whole: an inner node or a directory, which will be read again.
      // A walk over a whole volume is none of these.
      if (options.priority !== 'background' && this.#stores.some(({ name }) => name === found.origin))
        this.#memory.admit(cid, found.bytes, options.priority);
      // Whoever brings a volume here wants it to stay: a block that only memory has left is kept without being fetched.
      if (found.origin === this.#memory.name) {
        if (!isPrefetch(options)) this.#usedInMemory(key);
        else if (!this.isKept(key)) for (const sink of this.#sinks) sink.admit(cid, found.bytes, options.priority);
      }
      account(options, cid, found, false);
      return found.bytes;
    });
  }

  getRange(cid: CID, start: number, end: number, options: WantOptions, scratch?: Scratch): MaybePromise<Uint8Array> {
    const key = blockKey(cid);
    const slice = (bytes: Uint8Array) => {
      if (bytes.length >= end) return bytes.subarray(start, end);
      throw new CodedError('DAG_INVALID', `block ${cid} has ${bytes.length} bytes where ${end} are needed`);
    };
    const identity = identityBytes(cid);
    if (identity) return slice(identity);
    // A store that is asked after another took its time answers in a later turn, whatever it takes itself.
    let isThisTurn = true;
    const local = this.#local(cid, (store) => store.getRange(key, start, end, isThisTurn ? scratch : undefined));
    isThisTurn = false;
    return chain(local, (found) => {
      // A store says no both of a block it lacks and of one too short. The latter would be fetched for nothing.
      if (found === undefined && this.has(cid)) return chain(this.get(cid, options), slice);
      if (found === undefined) return this.#fetch(cid, options).then(slice);
      if (found.origin === this.#memory.name) this.#usedInMemory(key);
      account(options, cid, found, false, true);
      return found.bytes;
    });
  }

  ends(cid: CID, options: WantOptions): BlockEnds | undefined {
    const key = blockKey(cid);
    if (cid.multihash.code === 0 || this.#memory.has(key)) return undefined;
    for (const store of this.#stores) {
      const ends = store.ends?.(key);
      if (!ends) continue;
      account(options, cid, { bytes: ends.head, origin: store.name }, false, true);
      return ends;
    }
    return undefined;
  }

  expect(cid: CID, start: number, end: number): void {
    const key = blockKey(cid);
    if (this.#memory.has(key)) return;
    this.#stores.find((store) => store.has(key))?.expect?.(key, start, end);
  }

  readToEnd(cid: CID): void {
    const key = blockKey(cid);
    const bytes = this.#memory.get(key);
    // Small ones are not worth the question to the disks' indexes.
    if (bytes && isLent(bytes) && this.isKept(key)) this.#memory.drop(key);
  }

  has(cid: CID): boolean {
    const key = blockKey(cid);
    if (cid.multihash.code === 0 || this.#memory.has(key)) return true;
    return this.#stores.some((store) => store.has(key));
  }

  isKept(key: BlockKey): boolean {
    // A multihash begins with the code of its function.
    return key.charCodeAt(0) === 0 || this.#stores.some((store) => store.has(key));
  }

  fetchRange(root: CID, scope: DagScope, options: WantOptions): Promise<number> {
    return this.#queue.wantRange(root, scope, rangeOptions(options));
  }

  /** A verified block came into the store called `origin` by itself, as by an import: whoever waits for it has it. */
  offer(cid: CID, bytes: Uint8Array, origin: string): void {
    this.#queue.offer(cid, bytes, origin);
  }

  /** Ends all waits with ABORTED and closes the sources; stores and sinks are their maker's to close. Idempotent. */
  close(): Promise<void> {
    return this.#queue.close();
  }

  /** What memory answers again and again is the last that the disk should give up. */
  #usedInMemory(key: BlockKey): void {
    for (const store of this.#stores) store.used?.(key);
  }

  /** The first place that answers `read`. */
  #local(cid: CID, read: (store: BlockStore) => MaybePromise<Uint8Array | undefined>): MaybePromise<Found | undefined> {
    checkCid(cid);
    const identity = identityBytes(cid);
    if (identity) return { bytes: identity, origin: 'identity' };
    const from = (index: number): MaybePromise<Found | undefined> => {
      const store = this.#places[index];
      if (store === undefined) return undefined;
      return chain(read(store), (bytes) => (bytes ? { bytes, origin: store.name } : from(index + 1)));
    };
    return from(0);
  }

  async #fetch(cid: CID, options: WantOptions): Promise<Uint8Array> {
    // It may have come for another while the stores were asked.
    const late = this.#memory.get(blockKey(cid));
    if (late) {
      account(options, cid, { bytes: late, origin: this.#memory.name }, false);
      return late;
    }
    const found = await this.#queue.want(cid, options);
    account(options, cid, found, !this.#stores.some(({ name }) => name === found.origin));
    return found.bytes;
  }
}

/** Field by field: a caller's options may be getters, which a spread would not see. */
function rangeOptions(options: WantOptions): RangeOptions {
  const { priority, signal, timeoutMs } = options;
  return {
    priority,
    signal,
    timeoutMs,
    onBlock: (cid, bytes, origin) => account(options, cid, { bytes, origin }, true),
  };
}

function account(options: WantOptions, cid: CID, { bytes, origin }: Found, fetched: boolean, part = false): void {
  options.account?.(cid, bytes.length, { priority: options.priority, origin, fetched, part });
}

function isPrefetch({ priority }: WantOptions): boolean {
  return priority === 'background' || priority === 'profile';
}
