/** Sizes of blocks: of those that are asked for, and in little memory. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { type Block, type BlockKey, blockKey } from '../../src/blocks/block.ts';
import { BlockSizes } from '../../src/cli/add/block-sizes.ts';
import { makeBlock, makeBlocks } from '../support/make-block.ts';

test('those that were added are known, over any number of pages, and no others', () => {
  const sizes = new BlockSizes();
  expect(sizes.of([blockKey(makeBlock('x').cid)]).size).toBe(0);
  const blocks = makeBlocks(40_000);
  for (const block of blocks) sizes.add(block);
  const large = makeBlock('large'.repeat(100_000));
  sizes.add(large);
  // As a file of several places.
  sizes.add(large);
  const [first, last, other] = [blocks[0], blocks.at(-1), makeBlock('of another tree')].map((block) =>
    blockKey((block as Block).cid),
  ) as [BlockKey, BlockKey, BlockKey];
  expect(sizes.of([first, blockKey(large.cid), other, last])).toEqual(
    new Map([
      [first, 8],
      [blockKey(large.cid), 500_000],
      [last, 8],
    ]),
  );
});

test('a million of them take some 20 bytes each', () => {
  const sizes = new BlockSizes();
  const { cid, bytes } = makeBlock('of any content');
  // One object with another digest each time: what it takes to make blocks is not measured.
  const { digest } = cid.multihash;
  const count = 1_000_000;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const memory = () => {
    collect();
    return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  };
  const before = memory();
  for (let index = 0; index < count; index++) {
    new DataView(digest.buffer, digest.byteOffset).setUint32(digest.length - 4, index);
    sizes.add({ cid, bytes });
  }
  expect((memory() - before) / count).toBeLessThan(30);
  const last = Buffer.from(digest).toString('latin1') as BlockKey;
  expect(sizes.of([last])).toEqual(new Map([[last, bytes.length]]));
});
