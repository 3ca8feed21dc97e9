/** Files whose DAG no usual importer makes: read right where it is consistent, refused where it contradicts itself. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { readExtents } from '../../src/unixfs/read-extents.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../support/block-map.ts';
import type { Message } from '../support/dag-builder.ts';
import {
  cidOfBytes,
  DAG_CBOR,
  DAG_PB,
  DagBuilder,
  encodeDagPb,
  type FilePart,
  identityCid,
  message,
  RAW,
  TYPE,
} from '../support/dag-builder.ts';

const demand = { priority: 'demand' as const };

function builder() {
  const blocks = new BlockMap();
  return { blocks, dag: new DagBuilder(blocks), unixfs: new UnixfsReader(blocks) };
}

async function read(unixfs: UnixfsReader, { cid, size }: FilePart, from: number, to: number): Promise<Buffer> {
  const extents = await unixfs.file(contentKey(cid), size).locate(from, to, demand);
  return Buffer.concat(await readExtents(unixfs.blocks, extents, demand, () => undefined));
}

/** A DAG as a plain description, so that fast-check can shrink it. */
type Shape =
  | { readonly form: 'raw' | 'identity' | 'leaf' | 'rawTypeLeaf' | 'noSizeLeaf'; readonly bytes: Uint8Array }
  | { readonly form: 'inner'; readonly bytes: Uint8Array; readonly parts: readonly Shape[] };

const { shape } = fc.letrec<{ shape: Shape }>((tie) => ({
  shape: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.record({
      form: fc.constantFrom(
        'raw' as const,
        'identity' as const,
        'leaf' as const,
        'rawTypeLeaf' as const,
        'noSizeLeaf' as const,
      ),
      bytes: fc.uint8Array({ maxLength: 30 }),
    }),
    fc.record({
      form: fc.constant('inner' as const),
      bytes: fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 10 })),
      parts: fc.array(tie('shape'), { maxLength: 5 }),
    }),
  ),
}));

function build(dag: DagBuilder, plain: Shape): FilePart {
  const { form, bytes } = plain;
  switch (form) {
    case 'raw':
      return dag.rawPart(bytes);
    case 'identity':
      return { cid: identityCid(RAW, bytes), size: bytes.length };
    case 'leaf':
      return dag.part([], bytes);
    case 'rawTypeLeaf':
      return dag.part([], bytes, { type: TYPE.raw });
    case 'noSizeLeaf':
      return { cid: dag.node({ type: TYPE.file, data: bytes }), size: bytes.length };
    default:
      return dag.part(
        plain.parts.map((part) => build(dag, part)),
        bytes,
      );
  }
}

function bytesOf(plain: Shape): Buffer {
  return Buffer.concat([plain.bytes, ...(plain.form === 'inner' ? plain.parts.map(bytesOf) : [])]);
}

describe('consistent files', () => {
  test('any shape, with raw, dag-pb, identity leaves and data on inner nodes: any range equals slice()', async () => {
    const ranges = fc.array(fc.tuple(fc.nat(300), fc.nat(300)), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(shape, ranges, fc.boolean(), async (plain, reads, remote) => {
        const { blocks, dag, unixfs } = builder();
        const part = build(dag, plain);
        if (remote) blocks.makeAllRemote();
        const whole = bytesOf(plain);
        expect(part.size).toBe(whole.length);
        for (const [from, length] of reads) {
          expect(await read(unixfs, part, from, from + length)).toEqual(whole.subarray(from, from + length));
        }
      }),
      { numRuns: 300 },
    );
  });

  test('ten thousand levels are read without a stack, in bounded memory', async () => {
    const { dag, unixfs } = builder();
    let part = dag.rawPart(Buffer.from('deep'));
    for (let level = 0; level < 10_000; level++) part = dag.part([part]);
    expect((await read(unixfs, part, 1, 3)).toString()).toBe('ee');
    for (let level = 10_000; level <= 16_384; level++) part = dag.part([part]);
    await expect(read(unixfs, part, 1, 3)).rejects.toMatchObject({ code: 'DAG_INVALID' });
  });

  test('100 TB through shared links: the last bytes are found by reading one node a level', async () => {
    const { blocks, dag, unixfs } = builder();
    let part = dag.rawPart(Buffer.alloc(1024 * 1024, 'x'));
    for (let level = 0; level < 4; level++) part = dag.part(Array.from({ length: 100 }, () => part));
    expect(part.size).toBe(100 ** 4 * 2 ** 20);
    blocks.makeAllRemote();
    expect((await read(unixfs, part, part.size - 2, part.size)).toString()).toBe('xx');
    expect(blocks.fetched.length).toBe(5);
    // One CAR of the range first, for want of the root; the levels below are then asked for one by one.
    expect(blocks.ranges).toEqual([{ root: expect.anything(), from: part.size - 2, to: part.size - 1 }]);
  });

  test('a read beyond 2^32 takes the blocks of its range, all wanted at once', async () => {
    const { blocks, dag, unixfs } = builder();
    const leaf = (index: number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(index);
      return dag.rawPart(bytes);
    };
    const filler = { cid: cidOfBytes(DAG_PB, Buffer.from('never read')), size: 2 ** 33 };
    const part = dag.part([filler, dag.part(Array.from({ length: 50 }, (_, index) => leaf(index)))]);
    await read(unixfs, part, 2 ** 33, 2 ** 33 + 1);
    blocks.makeAllRemote();
    const bytes = await read(unixfs, part, 2 ** 33 + 10, 2 ** 33 + 32);
    expect(bytes.readUInt32LE(2)).toBe(3);
    expect(blocks.fetched.length).toBe(6);
    expect(blocks.peak).toBe(6);
  });

  test('part of a raw block is read as a range; of a dag-pb leaf, where its data stands', async () => {
    const { blocks, dag, unixfs } = builder();
    const part = dag.part([dag.rawPart(Buffer.from('0123456789')), dag.part([], Buffer.from('abcdefghij'))]);
    expect((await read(unixfs, part, 4, 13)).toString()).toBe('456789abc');
    expect(blocks.rangeReads.map(({ start, end }) => end - start)).toEqual([6, 3]);
  });
});

describe('contradictions are DAG_INVALID at the read', () => {
  const leaf = Buffer.from('0123456789');
  const cases: [string, (dag: DagBuilder) => FilePart][] = [
    ['fewer block sizes than links', (dag) => odd(dag, { blockSizes: [10] }, 2)],
    ['more block sizes than links', (dag) => odd(dag, { blockSizes: [10, 10, 10] }, 2)],
    ['no block sizes', (dag) => odd(dag, { fileSize: 20 }, 2)],
    ['a file size that is not their sum', (dag) => odd(dag, { blockSizes: [10, 10], fileSize: 25 }, 2)],
    ['a raw leaf shorter than claimed', (dag) => odd(dag, { blockSizes: [11] }, 1)],
    ['a raw leaf longer than claimed', (dag) => odd(dag, { blockSizes: [9] }, 1)],
    [
      'a dag-pb child of another size',
      (dag) => ({
        cid: dag.node({ type: TYPE.file, blockSizes: [11], fileSize: 11 }, [{ cid: dag.part([], leaf).cid }]),
        size: 11,
      }),
    ],
    [
      'a directory inside a file',
      (dag) => ({ cid: dag.node({ type: TYPE.file, blockSizes: [5] }, [{ cid: dag.directory([]) }]), size: 5 }),
    ],
    [
      'a dag-cbor block inside a file',
      (dag) => ({
        cid: dag.node({ type: TYPE.file, blockSizes: [1] }, [{ cid: dag.block(DAG_CBOR, Buffer.from([1])) }]),
        size: 1,
      }),
    ],
    [
      'not even UnixFS inside a file',
      (dag) => ({
        cid: dag.node({ type: TYPE.file, blockSizes: [1] }, [{ cid: dag.node(Buffer.from('junk!')) }]),
        size: 1,
      }),
    ],
  ];

  function odd(dag: DagBuilder, fields: Message, links: number): FilePart {
    const child = { cid: dag.raw(leaf) };
    const cid = dag.node(
      { type: TYPE.file, ...fields },
      Array.from({ length: links }, () => child),
    );
    const sum = (fields.blockSizes ?? []).reduce<number>((total, size) => total + Number(size), 0);
    return { cid, size: Number(fields.fileSize ?? sum) };
  }

  test.each(cases)('%s', async (_name, make) => {
    const { dag, unixfs } = builder();
    const part = make(dag);
    await expect(read(unixfs, part, 0, part.size)).rejects.toMatchObject({ code: 'DAG_INVALID' });
  });

  test('blocks of a byte each are refused under a large read instead of filling the memory', async () => {
    const { dag, unixfs } = builder();
    const byte = dag.rawPart(Buffer.from('x'));
    const level = dag.part(Array.from({ length: 1000 }, () => byte));
    const part = dag.part(Array.from({ length: 1000 }, () => level));
    await expect(read(unixfs, part, 0, 2 ** 20)).rejects.toMatchObject({ code: 'DAG_INVALID' });
    expect((await read(unixfs, part, 999_000, 999_100)).length).toBe(100);
  });

  /** Three thousand blocks; opened one by one, the nodes of this read would be twelve million, and of a larger one billions. */
  test('a deep chain that is linked thousands of times is refused, and others have their turn meanwhile', async () => {
    const { dag, unixfs } = builder();
    let chain = dag.rawPart(Buffer.from('sixteen bytes ..'));
    for (let level = 0; level < 3000; level++) chain = dag.part([chain]);
    const part = dag.part(Array.from({ length: 4000 }, () => chain));
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    try {
      await expect(read(unixfs, part, 0, part.size)).rejects.toMatchObject({ code: 'DAG_INVALID' });
    } finally {
      clearInterval(timer);
    }
    expect(turns).toBeGreaterThan(3);
    expect((await read(unixfs, part, 16, 48)).toString()).toBe('sixteen bytes ..'.repeat(2));
  });

  test('a node whose link is well-formed but nobody has: the other half is read', async () => {
    const { dag, unixfs } = builder();
    const absent = cidOfBytes(DAG_PB, encodeDagPb([], message({ type: TYPE.file })));
    const part = dag.part([{ cid: absent, size: 10 }, dag.rawPart(leaf)]);
    await expect(read(unixfs, part, 0, 20)).rejects.toMatchObject({ code: 'BLOCK_UNAVAILABLE' });
    expect((await read(unixfs, part, 10, 20)).toString()).toBe('0123456789');
  });
});
