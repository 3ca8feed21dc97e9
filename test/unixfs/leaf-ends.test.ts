/** A leaf told by the ends of its block: the same as by all of it, or nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BlockEnds } from '../../src/blocks/block-store.ts';
import { decodeLeafEnds } from '../../src/unixfs/leaf-ends.ts';
import { decodeDagPb } from '../../src/unixfs/unixfs-entry.ts';
import { cidOfBytes, encodeDagPb, message, RAW, TYPE, varint } from '../support/dag-builder.ts';

const END_BYTES = 128;

const endsOf = (block: Uint8Array): BlockEnds => ({
  sizeBytes: block.length,
  head: block.slice(0, END_BYTES),
  tail: block.slice(-END_BYTES),
});

const someLeaf = fc
  .record({
    sizeBytes: fc.integer({ min: 300, max: 70_000 }),
    mode: fc.option(fc.integer({ min: 0, max: 0o7777 }), { nil: undefined }),
    seconds: fc.option(fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }), { nil: undefined }),
  })
  .map(({ sizeBytes, mode, seconds }) => {
    // Not by `ipfs-unixfs`, which writes seconds of 2^31 to 2^32 (2038 to 2106) as what no decoder takes.
    const leaf = message({
      type: TYPE.file,
      data: new Uint8Array(sizeBytes).fill(0xa5),
      fileSize: sizeBytes,
      ...(mode === undefined ? {} : { mode }),
      ...(seconds === undefined ? {} : { mtime: { seconds, nanoseconds: 5 } }),
    });
    return encodeDagPb([], leaf);
  });

function whole(block: Uint8Array) {
  try {
    return decodeDagPb(block);
  } catch {
    return 'refused';
  }
}

test('a leaf of any size, mode and time is told by its ends', () => {
  fc.assert(
    fc.property(someLeaf, (block) => {
      expect(decodeLeafEnds(endsOf(block))).toEqual(decodeDagPb(block));
    }),
  );
});

test('whatever stands in the block, the ends tell the same as all of it, or nothing', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(someLeaf, changes, fc.boolean(), (leaf, mutations, atStart) => {
      const block = leaf.slice();
      for (const [at, value] of mutations) {
        const within = at % END_BYTES;
        block[atStart ? within % 24 : block.length - 1 - within] = value;
      }
      const told = decodeLeafEnds(endsOf(block));
      if (told) expect(told).toEqual(whole(block));
    }),
    { numRuns: 2000 },
  );
});

describe('is not told by its ends', () => {
  const zeros = (length: number) => new Uint8Array(length);
  const bytesField = (number: number, bytes: Uint8Array) =>
    Buffer.from([...varint((number << 3) | 2), ...varint(bytes.length), ...bytes]);
  const child = { cid: cidOfBytes(RAW, Buffer.from('child')), name: '', tsize: 5 };

  test.each<[string, Uint8Array]>([
    ['a file with children', encodeDagPb([child], message({ type: TYPE.file, data: zeros(1000), blockSizes: [5] }))],
    [
      'links behind the data',
      Buffer.concat([
        encodeDagPb([], message({ type: TYPE.file, data: zeros(1000) })),
        encodeDagPb([child], undefined),
      ]),
    ],
    [
      'a field that nobody knows around the middle',
      encodeDagPb(
        [],
        Buffer.concat([message({ type: TYPE.file }), bytesField(15, zeros(1000)), bytesField(2, Buffer.from('x'))]),
      ),
    ],
    [
      'a directory',
      encodeDagPb(
        Array.from({ length: 40 }, (_, at) => ({ ...child, name: `name ${at}` })),
        message({ type: TYPE.directory }),
      ),
    ],
    ['a symlink', encodeDagPb([], message({ type: TYPE.symlink, data: zeros(1000) }))],
    ['nothing but zeros', zeros(1000)],
    ['a block too short to have two ends', zeros(END_BYTES)],
  ])('%s', (_name, block) => {
    expect(decodeLeafEnds(endsOf(block))).toBeUndefined();
  });
});
