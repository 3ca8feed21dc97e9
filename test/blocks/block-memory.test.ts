/** Memory of blocks: whoever keeps a block has its bytes, and when nobody does it is given back, not earlier and not later. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { describe, expect, it } from 'vitest';
import { type Block, type BlockKey, blockKey } from '../../src/blocks/block.ts';
import { blockMemory, isLent, keep, letGo } from '../../src/blocks/block-memory.ts';
import { BlockService } from '../../src/blocks/block-service.ts';
import type { BlockSource } from '../../src/blocks/block-source.ts';
import type { BlockSink, BlockStore } from '../../src/blocks/block-store.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import { WriteQueue } from '../../src/cache/write-queue.ts';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { readExtents } from '../../src/unixfs/read-extents.ts';
import { decodeUnixfsEntry } from '../../src/unixfs/unixfs-entry.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { makeBlocks } from '../support/make-block.ts';

const SIZE = 128 * 1024;

/** The same bytes in memory that is given back. */
function lent(bytes: Uint8Array): Uint8Array {
  const memory = blockMemory(bytes.length);
  memory.set(bytes);
  return memory;
}

describe('block memory', () => {
  it('is given back after the turn in which the last one lets it go', async () => {
    const block = blockMemory(SIZE);
    const view = block.subarray(10, 20);
    keep(block);
    keep(view);
    letGo(block);
    await nextTurn();
    expect([block.length, view.length]).toEqual([SIZE, 10]);
    letGo(view);
    expect([block.length, view.length]).toEqual([SIZE, 10]);
    await nextTurn();
    expect([block.length, view.length]).toEqual([0, 0]);
  });

  it('stays where somebody keeps it again in that turn', async () => {
    const block = blockMemory(SIZE);
    keep(block);
    letGo(block);
    keep(block);
    await nextTurn();
    expect(block.length).toBe(SIZE);
    letGo(block);
    await nextTurn();
    expect(block.length).toBe(0);
  });

  it("is no business of what is small, nobody's, or was not lent", async () => {
    const unkept = blockMemory(SIZE);
    const others = [blockMemory(SIZE - 1), Buffer.alloc(SIZE)];
    for (const other of others) {
      keep(other);
      letGo(other);
    }
    await nextTurn();
    expect([unkept, ...others].map(({ length }) => length)).toEqual([SIZE, SIZE - 1, SIZE]);
    expect([unkept, ...others].map(isLent)).toEqual([true, false, false]);
  });
});

describe('whoever keeps blocks', () => {
  it('in memory lets go what is pushed out, replaced by other bytes or too large', async () => {
    const cache = new MemoryCache(2.5 * SIZE);
    const blocks = makeBlocks(3, SIZE).map(({ cid, bytes }) => ({ cid, bytes: lent(bytes) }));
    const [first, second, third] = blocks as [Block, Block, Block];
    for (const { cid, bytes } of [first, first, second, third]) cache.admit(cid, bytes);
    const again = lent(third.bytes);
    cache.admit(third.cid, again);
    const large = lent(Buffer.alloc(3 * SIZE));
    cache.admit(first.cid, large);
    await nextTurn();
    expect([first.bytes, third.bytes, large].map(({ length }) => length)).toEqual([0, 0, 0]);
    expect(cache.get(blockKey(second.cid))).toHaveLength(SIZE);
    expect(cache.get(blockKey(third.cid))).toBe(again);
  });

  it('in memory lets go what small blocks push out', async () => {
    const cache = new MemoryCache(3 * SIZE);
    const large = makeBlocks(2, SIZE).map(({ cid, bytes }) => ({ cid, bytes: lent(bytes) }));
    for (const { cid, bytes } of large) cache.admit(cid, bytes);
    for (const { cid, bytes } of makeBlocks(9, SIZE / 10)) cache.admit(cid, bytes);
    await nextTurn();
    expect(large.map(({ bytes }) => bytes.length)).toEqual([SIZE, SIZE]);
    expect(cache.blocks).toBe(2 + 9);
    cache.admit(large[0]?.cid as Block['cid'], lent(Buffer.alloc(SIZE + SIZE / 2)));
    await nextTurn();
    expect(large.map(({ bytes }) => bytes.length)).toEqual([0, 0]);
  });

  it('on its way to the disk has what is being written, whatever leaves the queue meanwhile', async () => {
    const queue = new WriteQueue();
    const [written, waiting] = makeBlocks(2, SIZE).map(({ cid, bytes }) => ({
      key: blockKey(cid),
      bytes: lent(bytes),
    }));
    if (!written || !waiting) throw new Error('no blocks');
    for (const { key, bytes } of [written, waiting]) queue.add(key, bytes, { used: false, few: false });
    const { batch } = queue.next(1, () => true);
    expect([...batch.keys()]).toEqual([written.key]);
    queue.clear();
    await nextTurn();
    expect([written.bytes.length, waiting.bytes.length]).toEqual([SIZE, 0]);
    queue.done(batch, true);
    await nextTurn();
    expect(written.bytes.length).toBe(0);
    expect([queue.size, queue.bytes]).toEqual([0, 0]);
  });
});

it('a read over several blocks has the bytes of those that were given back before the last one came', async () => {
  const blocks = makeBlocks(4, SIZE);
  const answers = blocks.map(() => Promise.withResolvers<void>());
  const source: BlockSource = {
    name: 'source',
    async getBlock(cid) {
      const index = blocks.findIndex((block) => block.cid.equals(cid));
      await answers[index]?.promise;
      return lent((blocks[index] as Block).bytes);
    },
    ping: async () => true,
    close: async () => undefined,
  };
  const memory = new MemoryCache(1.5 * SIZE);
  const service = new BlockService({ memory, stores: [], sinks: [], sources: [source], timeoutMs: 60_000 });
  const extents = blocks.map(({ cid }, index) => ({
    offset: index * SIZE,
    length: index === 0 ? 100 : SIZE,
    cid,
    offsetInBlock: 0,
    blockBytes: SIZE,
  }));
  const pieces = readExtents(service, extents, { priority: 'demand' }, () => undefined);
  for (const { resolve } of answers) {
    resolve();
    await nextTurn();
    await nextTurn();
  }
  expect(memory.blocks).toBe(1);
  const expected = [blocks[0]?.bytes.subarray(0, 100), ...blocks.slice(1).map(({ bytes }) => bytes)];
  expect(Buffer.concat(await pieces).equals(Buffer.concat(expected as Uint8Array[]))).toBe(true);
  await service.close();
});

it('a block that a reader read to its end leaves memory where the disk has it, and nowhere else', async () => {
  const [block] = makeBlocks(1, SIZE) as [Block];
  const source: BlockSource = {
    name: 'source',
    getBlock: async () => lent(block.bytes),
    ping: async () => true,
    close: async () => undefined,
  };
  const read = async (sinks: readonly WriteSink[]) => {
    const memory = new MemoryCache(3 * SIZE);
    const service = new BlockService({ memory, stores: sinks, sinks, sources: [source], timeoutMs: 60_000 });
    const extent = { offset: 0, cid: block.cid, blockBytes: SIZE };
    const blocksLeft: number[] = [];
    for (const offsetInBlock of [0, SIZE / 2]) {
      const part = { ...extent, offsetInBlock, length: SIZE / 2 };
      const pieces = await readExtents(service, [part], { priority: 'demand' }, () => undefined);
      // What is given is valid in this turn, also where nobody keeps it any more.
      expect(Buffer.concat(pieces).equals(block.bytes.subarray(offsetInBlock, offsetInBlock + SIZE / 2))).toBe(true);
      blocksLeft.push(memory.blocks);
    }
    await service.close();
    return blocksLeft;
  };
  expect(await read([])).toEqual([1, 1]);
  const sink = new WriteSink();
  expect(await read([sink])).toEqual([1, 0]);
  expect(sink.queue.get(blockKey(block.cid))).toHaveLength(SIZE);
});

it('a directory whose block is large outlives it', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const child = dag.raw(Buffer.from('child'));
  const root = dag.directory(Array.from({ length: 3000 }, (_, index) => ({ name: `name-${index}`, cid: child })));
  const block = lent(blocks.blocks.get(blockKey(root)) as Uint8Array);
  expect(isLent(block)).toBe(true);
  keep(block);
  const entry = decodeUnixfsEntry(contentKey(root), block);
  letGo(block);
  await nextTurn();
  expect(block.length).toBe(0);
  if (entry.kind !== 'directory') throw new Error(entry.kind);
  expect(entry.entries.indexOf(Buffer.from('name-2999'))).toBeGreaterThanOrEqual(0);
  expect(entry.entries.key(0)).toBe(contentKey(child));
});

it('what was given back is used again, and no view of the former block shows the new one', async () => {
  const former = blockMemory(SIZE + 1);
  const view = former.subarray(0, 5);
  keep(former);
  letGo(former);
  await nextTurn();
  const next = blockMemory(SIZE + 1).fill(7);
  expect([former.length, view.length, next.length]).toEqual([0, 0, SIZE + 1]);
  // As large as nobody asked for before: memory of its own.
  expect(blockMemory(SIZE + 2)).toHaveLength(SIZE + 2);
});

/** What waits for a disk, and nothing behind it. */
class WriteSink implements BlockStore, BlockSink {
  readonly name = 'disk cache';
  readonly queue = new WriteQueue();

  has(key: BlockKey): boolean {
    return this.queue.has(key);
  }

  get(key: BlockKey): Uint8Array | undefined {
    return this.queue.get(key);
  }

  getRange(key: BlockKey, start: number, end: number): Uint8Array | undefined {
    return this.queue.getRange(key, start, end);
  }

  admit(cid: CID, bytes: Uint8Array): void {
    this.queue.add(blockKey(cid), bytes, { used: true, few: false });
  }
}
