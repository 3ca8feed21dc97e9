import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { beforeEach, describe, expect, it, test } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import type { MaybePromise } from '../../src/base/maybe-promise.ts';
import { Scratch } from '../../src/base/scratch.ts';
import { type Block, type BlockKey, blockKey } from '../../src/blocks/block.ts';
import type { OnBlock } from '../../src/blocks/block-reader.ts';
import { BlockService } from '../../src/blocks/block-service.ts';
import type { BlockSink, BlockStore } from '../../src/blocks/block-store.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import type { RequestContext } from '../../src/fs/file-system.ts';
import { NodeWant } from '../../src/fs/node-want.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FaultRangeSource } from '../support/fault-source.ts';
import { makeBlock, makeBlocks } from '../support/make-block.ts';

const DEMAND = { priority: 'demand' } as const;
const [LOCAL, CACHED, REMOTE, ABSENT] = makeBlocks(4, 1000) as [Block, Block, Block, Block];
const IDENTITY = CID.createV1(0x55, create(0, new Uint8Array([1, 2, 3])));

/** A store over a map that counts what it was asked, at once or later. */
class MapStore implements BlockStore, BlockSink {
  readonly name: string;
  readonly later: boolean;
  readonly kept = new Map<BlockKey, Uint8Array>();
  reads = 0;
  readonly uses: BlockKey[] = [];

  constructor(name: string, later: boolean, blocks: readonly Block[] = []) {
    this.name = name;
    this.later = later;
    for (const { cid, bytes } of blocks) this.admit(cid, bytes);
  }

  has(key: BlockKey): boolean {
    return this.kept.has(key);
  }

  get(key: BlockKey) {
    this.reads++;
    const bytes = this.kept.get(key);
    return this.later ? Promise.resolve(bytes) : bytes;
  }

  getRange(key: BlockKey, start: number, end: number, _scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    this.reads++;
    const bytes = this.kept.get(key);
    const part = bytes && bytes.length >= end ? bytes.slice(start, end) : undefined;
    return this.later ? Promise.resolve(part) : part;
  }

  used(key: BlockKey): void {
    this.uses.push(key);
  }

  admit(cid: CID, bytes: Uint8Array): void {
    this.kept.set(blockKey(cid), bytes);
  }
}

let clock: FakeClock;
let source: FaultRangeSource;
let store: MapStore;
let cache: MapStore;
let memory: MemoryCache;
let service: BlockService;

beforeEach(() => {
  clock = new FakeClock();
  source = new FaultRangeSource('remote', clock, [LOCAL, CACHED, REMOTE]);
  store = new MapStore('local store', false, [LOCAL]);
  cache = new MapStore('disk cache', true, [CACHED]);
  memory = new MemoryCache(100_000);
  service = new BlockService({
    memory,
    stores: [store, cache],
    sinks: [cache],
    sources: [source],
    timeoutMs: 60_000,
    clock,
    random: () => 0.5,
  });
});

/** The value of a promise that the clock lets settle. */
async function soon<T>(value: T | Promise<T>): Promise<T> {
  const promise = Promise.resolve(value);
  promise.catch(() => {});
  await clock.advance(1000);
  return promise;
}

function failure(run: () => unknown): Promise<string> {
  return soon((async () => run())()).then(() => 'nothing', codeOf);
}

describe('BlockService.get', () => {
  it('answers in the same turn from the CID, memory and a store that does', () => {
    expect(service.get(IDENTITY, DEMAND)).toEqual(new Uint8Array([1, 2, 3]));
    expect(service.get(LOCAL.cid, DEMAND)).toEqual(LOCAL.bytes);
    expect(service.get(LOCAL.cid, DEMAND)).toEqual(LOCAL.bytes);
    expect(store.reads).toBe(1); // the second came from memory
    expect(source.calls).toHaveLength(0);
  });

  it('knows a block by its multihash, whatever the CID', () => {
    expect(service.get(CID.createV0(LOCAL.cid.multihash as never), DEMAND)).toEqual(LOCAL.bytes);
    expect(service.get(CID.createV1(0x70, LOCAL.cid.multihash), DEMAND)).toEqual(LOCAL.bytes);
  });

  it('asks the stores in order, then a source, and keeps what came', async () => {
    expect(await service.get(CACHED.cid, DEMAND)).toEqual(CACHED.bytes);
    expect(source.calls).toHaveLength(0);
    expect(service.has(REMOTE.cid)).toBe(false);
    expect(await soon(service.get(REMOTE.cid, DEMAND))).toEqual(REMOTE.bytes);
    expect(cache.kept.get(blockKey(REMOTE.cid))).toEqual(REMOTE.bytes);
    expect(service.has(REMOTE.cid)).toBe(true);
    expect(service.get(REMOTE.cid, DEMAND)).toEqual(REMOTE.bytes);
    expect(source.calls).toHaveLength(1);
  });

  it('fetches again what a store lost', async () => {
    cache.kept.delete(blockKey(CACHED.cid));
    expect(await soon(service.get(CACHED.cid, DEMAND))).toEqual(CACHED.bytes);
    expect(source.calls).toHaveLength(1);
  });

  it('tells the stores what readers were given from memory, without asking them, and nothing of what a fill was', async () => {
    await soon(service.get(CACHED.cid, DEMAND));
    expect(cache.uses).toEqual([]);
    const { reads } = cache;
    service.get(CACHED.cid, DEMAND);
    service.getRange(CACHED.cid, 0, 10, DEMAND);
    for (const priority of ['profile', 'background'] as const) service.get(CACHED.cid, { priority });
    expect([cache.uses, cache.reads]).toEqual([[blockKey(CACHED.cid), blockKey(CACHED.cid)], reads]);
  });

  it('keeps a background fill out of memory where a sink keeps it', async () => {
    await soon(service.get(REMOTE.cid, { priority: 'background' }));
    expect(memory.has(blockKey(REMOTE.cid))).toBe(false);
    expect(cache.has(blockKey(REMOTE.cid))).toBe(true);
  });

  it('keeps what a fill finds in memory alone, without fetching it again', async () => {
    await soon(service.get(REMOTE.cid, DEMAND));
    cache.kept.clear();
    expect([service.has(REMOTE.cid), service.isKept(blockKey(REMOTE.cid))]).toEqual([true, false]);
    expect(service.get(REMOTE.cid, DEMAND)).toEqual(REMOTE.bytes);
    expect(service.isKept(blockKey(REMOTE.cid))).toBe(false);
    expect(service.get(REMOTE.cid, { priority: 'background' })).toEqual(REMOTE.bytes);
    expect(service.isKept(blockKey(REMOTE.cid))).toBe(true);
    expect(service.isKept(blockKey(LOCAL.cid))).toBe(true);
    expect(service.isKept(blockKey(IDENTITY))).toBe(true);
    expect(source.calls).toHaveLength(1);
  });

  it('fails with what the queue says, and at once for what cannot be verified', async () => {
    expect(await failure(() => service.get(ABSENT.cid, DEMAND))).toBe('BLOCK_UNAVAILABLE');
    const sha1 = CID.createV1(0x55, create(0x11, new Uint8Array(20)));
    expect(await failure(() => service.get(sha1, DEMAND))).toBe('BLOCK_CORRUPT');
    const large = CID.createV1(0x55, create(0, new Uint8Array(129)));
    expect(await failure(() => service.getRange(large, 0, 1, DEMAND))).toBe('BLOCK_CORRUPT');
  });
});

describe('BlockService.getRange', () => {
  it.each([0, 1, 999, 1000])('gives the same bytes from everywhere, from %i on', async (start) => {
    for (const { cid, bytes } of [LOCAL, CACHED, REMOTE]) {
      expect(await soon(service.getRange(cid, start, 1000, DEMAND))).toEqual(bytes.slice(start, 1000));
    }
    expect(service.getRange(IDENTITY, Math.min(start, 3), 3, DEMAND)).toEqual(new Uint8Array([1, 2, 3]).slice(start));
  });

  it('reads the range alone from a store, leaving memory as it was', async () => {
    expect(service.getRange(LOCAL.cid, 10, 20, DEMAND)).toEqual(LOCAL.bytes.slice(10, 20));
    await service.getRange(CACHED.cid, 10, 20, DEMAND);
    expect(memory.blocks).toBe(0);
  });

  it.each([LOCAL, CACHED, REMOTE])(
    'is DAG_INVALID beyond the end, without asking a source for what is here',
    async ({ cid }) => {
      expect(await failure(() => service.getRange(cid, 0, 1001, DEMAND))).toBe('DAG_INVALID');
      expect(source.calls).toHaveLength(cid === REMOTE.cid ? 1 : 0);
      expect(await failure(() => service.getRange(cid, 0, 1001, DEMAND))).toBe('DAG_INVALID');
      expect(await failure(() => service.getRange(IDENTITY, 0, 4, DEMAND))).toBe('DAG_INVALID');
    },
  );
});

test('a store that is asked in a later turn, since another took its time, is given no memory that is used again', async () => {
  const scratch = new Scratch(1000);
  const reusing: BlockStore = {
    name: 'reusing',
    has: () => true,
    get: () => undefined,
    getRange: (_key, start, end, given) => {
      const bytes = given?.take(end - start) ?? new Uint8Array(end - start);
      bytes.set(LOCAL.bytes.subarray(start, end));
      return bytes;
    },
  };
  const stores = [new MapStore('slow', true), reusing];
  const two = new BlockService({ memory, stores, sinks: [], sources: [], timeoutMs: 1000 });
  const reading = two.getRange(LOCAL.cid, 100, 200, DEMAND, scratch);
  expect(reading).toBeInstanceOf(Promise);
  const bytes = await reading;
  // As the next reader's does.
  scratch.reset();
  scratch.take(1000).fill(0xff);
  expect(Buffer.from(bytes)).toEqual(Buffer.from(LOCAL.bytes.subarray(100, 200)));
});

describe('BlockService, the rest', () => {
  it('tells each caller where its bytes came from', async () => {
    const told: string[] = [];
    const account: OnBlock = (_cid, sizeBytes, { priority, origin, fetched }) => {
      told.push(`${sizeBytes} ${priority} ${origin}${fetched ? ', fetched' : ''}`);
    };
    await service.get(LOCAL.cid, { ...DEMAND, account });
    await service.get(LOCAL.cid, { ...DEMAND, account });
    await service.getRange(CACHED.cid, 0, 10, { ...DEMAND, account });
    await soon(service.get(REMOTE.cid, { priority: 'profile', account }));
    source.range = [makeBlock('one'), makeBlock('two')];
    const context = { signal: new AbortController().signal } as RequestContext;
    // Its options are getters.
    const want = new NodeWant('readahead', 1000, context, () => 0, account);
    await soon(service.fetchRange(REMOTE.cid, { from: 0, to: 99 }, want));
    expect(told).toEqual([
      '1000 demand local store',
      '1000 demand memory',
      '10 demand disk cache',
      '1000 profile remote, fetched',
      '3 readahead remote, fetched',
      '3 readahead remote, fetched',
    ]);
  });

  it('brings a range here, so that its blocks need no source', async () => {
    source.range = [makeBlock('one'), makeBlock('two')];
    expect(await soon(service.fetchRange(REMOTE.cid, { from: 0, to: 99 }, DEMAND))).toBe(2);
    expect(source.range.every(({ cid }) => service.has(cid))).toBe(true);
    expect(source.calls).toHaveLength(0);
  });

  it('ends every wait on close', async () => {
    source.script = () => 'silent';
    const waiting = failure(() => service.get(REMOTE.cid, DEMAND));
    await service.close();
    await service.close();
    expect(await waiting).toBe('ABORTED');
    expect([source.closed, service.pending, clock.timers]).toEqual([true, 0, 0]);
    expect(await service.get(CACHED.cid, DEMAND)).toEqual(CACHED.bytes);
  });
});
