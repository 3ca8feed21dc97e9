/** Readahead over a modelled link: a turn of the event loop is a round trip, and a clock counts them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReadStreams } from '../../../src/fs/ahead/read-streams.ts';
import { Readahead, type ReadaheadOptions } from '../../../src/fs/ahead/readahead.ts';
import { BlockMap } from '../../support/block-map.ts';
import { DagBuilder } from '../../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../../support/mount-content.ts';
import { context } from '../../support/walk-file-system.ts';

const LEAF = 64 * 1024;

async function setUp(leaves: number, options: ReadaheadOptions = {}) {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const parts = Array.from({ length: leaves }, (_, index) => {
    const bytes = Buffer.alloc(LEAF);
    bytes.writeUInt32LE(index);
    return dag.rawPart(bytes);
  });
  const file = dag.part(parts);
  let now = 0;
  const readahead = new Readahead(blocks, { now: () => now, ...options });
  const fileSystem = fileSystemOver(blocks, { observers: [readahead] });
  const node = await mountRoot(fileSystem, file.cid);
  blocks.makeRemote(...parts.map(({ cid }) => cid));
  /** True where the read had to wait for a block. */
  const read = async (offset: number, length: number) => {
    const waits = blocks.fetched.length;
    const pieces = fileSystem.read(node, offset, length, context);
    await new Promise(setImmediate);
    now++;
    await pieces;
    return blocks.fetched.slice(waits).some(({ priority }) => priority === 'demand');
  };
  /** Lets all that is on its way arrive. */
  const settle = async () => {
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  };
  return { blocks, parts, file, readahead, read, settle };
}

describe('sequential readers', () => {
  test('wait a few round trips and then no more; nothing is fetched twice', async () => {
    const { blocks, read, settle } = await setUp(512);
    const waits: number[] = [];
    for (let at = 0; at < 512; at++) if (await read(at * LEAF, LEAF)) waits.push(at);
    await settle();
    expect(waits.length).toBeLessThanOrEqual(4);
    expect(Math.max(...waits)).toBeLessThan(64);
    expect(new Set(blocks.fetched.map(({ cid }) => `${cid}`)).size).toBe(512);
  });

  test('what a file claims of a block that nobody has leaves others their share of the bound', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const silent = { cid: dag.raw(Buffer.from('never comes')), size: 2 ** 45 };
    const file = dag.part([...Array.from({ length: 8 }, (_, at) => dag.rawPart(Buffer.alloc(LEAF, at))), silent]);
    blocks.makeSilent(silent.cid);
    const readahead = new Readahead(blocks);
    const fileSystem = fileSystemOver(blocks, { observers: [readahead] });
    const node = await mountRoot(fileSystem, file.cid);
    for (let at = 0; at < 8; at++) await fileSystem.read(node, at * LEAF, LEAF, context);
    expect(blocks.waiting.length).toBe(1);
    expect(readahead.outstandingBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
  });

  test('of a volume whose source is silent leave those of another their readahead', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const made = (name: string) => {
      const parts = Array.from({ length: 64 }, (_, part) => dag.rawPart(Buffer.alloc(LEAF, `${name} ${part} `)));
      return { name, parts, cid: dag.part(parts).cid };
    };
    const silent = Array.from({ length: 8 }, (_, index) => made(`silent ${index}`));
    const other = made('other');
    const readahead = new Readahead(blocks, { maxOutstandingBytes: 8 * 1024 * 1024 });
    const fileSystem = fileSystemOver(blocks, { observers: [readahead] });
    const dead = await mountRoot(fileSystem, dag.directory(silent), { name: 'dead' });
    const well = await mountRoot(fileSystem, other.cid, { name: 'well' });
    for (const { parts } of silent) for (const { cid } of parts.slice(3)) blocks.makeSilent(cid);
    for (const { name } of silent) {
      const { node } = (await fileSystem.lookup(dead, Buffer.from(name), context)).attributes;
      for (let at = 0; at < 3; at++) await fileSystem.read(node, at * LEAF, LEAF, context);
    }
    const held = readahead.outstandingBytes;
    expect(held).toBeGreaterThan(4 * 1024 * 1024);
    blocks.makeRemote(...other.parts.map(({ cid }) => cid));
    for (let at = 0; at < 3; at++) await fileSystem.read(well, at * LEAF, LEAF, context);
    const theirs = new Set(other.parts.map(({ cid }) => `${cid}`));
    const ahead = blocks.fetched.filter(({ cid, priority }) => priority === 'readahead' && theirs.has(`${cid}`));
    expect(ahead.length).toBeGreaterThan(16);
    // And when it has come, its share is free again.
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(readahead.outstandingBytes).toBe(held);
  });

  test('have the disk read on before they come, where the blocks are here', async () => {
    const { blocks, parts, read, settle } = await setUp(64);
    for (const { cid } of parts) await blocks.get(cid, { priority: 'demand' });
    blocks.fetched.length = 0;
    for (let at = 0; at < 3; at++) await read(at * LEAF, LEAF);
    await settle();
    expect(blocks.fetched).toEqual([]);
    const expected = new Set(blocks.expected.map(String));
    expect(parts.slice(3, 16).every(({ cid }) => expected.has(`${cid}`))).toBe(true);
    expect(expected.has(`${parts[60]?.cid}`)).toBe(false);
  });

  test('several in one file are told apart', async () => {
    const { read } = await setUp(900);
    let waits = 0;
    for (let at = 0; at < 300; at++) {
      for (const reader of [0, 300, 600]) if (await read((reader + at) * LEAF, LEAF)) waits++;
    }
    expect(waits).toBeLessThanOrEqual(12);
  });

  test('what is on its way stays within the bound', async () => {
    const bound = 3 * 1024 * 1024;
    const { read, readahead } = await setUp(512, { maxOutstandingBytes: bound, maxWindowBytes: bound });
    for (let at = 0; at < 512; at++) {
      await read(at * LEAF, LEAF);
      expect(readahead.outstandingBytes).toBeLessThanOrEqual(2 * bound);
    }
  });

  test('where everything is here, nothing is asked for', async () => {
    const { blocks, read, settle, parts } = await setUp(64);
    for (const { cid } of parts) await blocks.get(cid, { priority: 'demand' });
    const before = blocks.fetched.length;
    for (let at = 0; at < 64; at++) await read(at * LEAF, LEAF);
    await settle();
    expect(blocks.fetched.length).toBe(before);
    expect(blocks.ranges).toEqual([]);
  });
});

test('a strided reader finds its next blocks here, forwards and backwards, and the blocks between stay away', async () => {
  for (const direction of [1, -1]) {
    const { blocks, read, settle } = await setUp(1000);
    const start = direction === 1 ? 0 : 999;
    const waits: number[] = [];
    for (let step = 0; step < 100; step++)
      if (await read((start + direction * step * 10) * LEAF, 4096)) waits.push(step);
    await settle();
    expect(waits.length).toBeLessThanOrEqual(6);
    expect(new Set(blocks.fetched.map(({ cid }) => `${cid}`)).size).toBe(100);
  }
});

test('random reads fetch their blocks and no others', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(63), { minLength: 2, maxLength: 12 }), async (places) => {
      // Sixteen leaves apart at least, at distances that no two share.
      const offsets = places.map((place) => place * 16 * LEAF + place * place * 512);
      const differences = offsets.flatMap((a, index) => offsets.slice(index + 1).map((b) => Math.abs(a - b)));
      fc.pre(new Set(differences).size === differences.length);
      const { blocks, read, settle } = await setUp(1100);
      for (const offset of offsets) await read(offset, 4096);
      await settle();
      expect(blocks.fetched.every(({ priority }) => priority === 'demand')).toBe(true);
      expect(blocks.fetched.length).toBeLessThanOrEqual(2 * offsets.length);
    }),
    { numRuns: 10 },
  );
});

test('a stream that is given up drops what it wanted', async () => {
  const { blocks, read, parts } = await setUp(800);
  await read(0, LEAF);
  for (const { cid } of parts.slice(2, 100)) blocks.makeSilent(cid);
  await read(LEAF, LEAF);
  expect(blocks.waiting.length).toBeGreaterThan(0);
  // Sixteen other readers, far from each other.
  for (let reader = 0; reader < 16; reader++) await read((110 + reader * 30 + reader * reader) * LEAF, 4096);
  expect(blocks.waiting.length).toBe(0);
});

describe('recognition', () => {
  test('the kernel’s readahead, out of order by a request, is one sequential stream', () => {
    const streams = new ReadStreams();
    const order = [0, 1, 3, 2, 4, 6, 5, 7].map((at) => at * LEAF);
    const seen = order.map((offset) => streams.observe(offset, LEAF).stream);
    expect(new Set(seen).size).toBe(1);
    expect(seen.at(-1)).toMatchObject({ pattern: 'sequential', end: 8 * LEAF });
  });

  test('never remembers more than a bounded number of streams', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2 ** 40), fc.integer({ min: 1, max: 2 ** 20 })), { maxLength: 200 }),
        (reads) => {
          const streams = new ReadStreams();
          for (const [offset, length] of reads) streams.observe(offset, length);
          expect(streams.streams().length).toBeLessThanOrEqual(16);
        },
      ),
    );
  });
});
