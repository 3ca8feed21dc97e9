/** Pieces that are read into a scratch: as they are where all come in one turn, kept where some must be waited for. */
import { expect, test } from 'vitest';
import { Scratch } from '../../src/base/scratch.ts';
import type { BlockReader } from '../../src/blocks/block-reader.ts';
import type { Extent } from '../../src/unixfs/file-index.ts';
import { readExtents } from '../../src/unixfs/read-extents.ts';
import { cidOfBytes, RAW } from '../support/dag-builder.ts';

const NEAR = cidOfBytes(RAW, Buffer.from('near'));
const FAR = cidOfBytes(RAW, Buffer.from('far'));

/** Answers ranges of `NEAR` at once, in the scratch, and of `FAR` later; each byte is its offset in the block. */
const blocks = {
  getRange(cid, start, end, _options, scratch) {
    const near = cid === NEAR;
    const bytes = (near ? scratch?.take(end - start) : undefined) ?? new Uint8Array(end - start);
    for (let at = 0; at < bytes.length; at++) bytes[at] = start + at;
    return near ? bytes : new Promise((resolve) => setImmediate(resolve, bytes));
  },
} as BlockReader;

const extent = (cid: typeof NEAR, offset: number): Extent => ({
  offset,
  length: 4,
  cid,
  offsetInBlock: offset,
  blockBytes: undefined,
});

const read = (extents: readonly Extent[], scratch: Scratch) =>
  readExtents(blocks, extents, { priority: 'demand' }, () => undefined, scratch);

function overwrite(scratch: Scratch): void {
  scratch.reset();
  scratch.take(100).fill(0xff);
}

test('what comes in one turn stands in the scratch, side by side', () => {
  const scratch = new Scratch(100);
  const pieces = read([extent(NEAR, 1), extent(NEAR, 11)], scratch);
  expect(pieces).toEqual([Uint8Array.of(1, 2, 3, 4), Uint8Array.of(11, 12, 13, 14)].map((piece) => Buffer.from(piece)));
  overwrite(scratch);
  expect(pieces).toEqual([Buffer.alloc(4, 0xff), Buffer.alloc(4, 0xff)]);
});

test('what has to wait for others is kept, whoever uses the scratch meanwhile', async () => {
  const scratch = new Scratch(100);
  const pieces = read([extent(NEAR, 1), extent(FAR, 5), extent(NEAR, 9)], scratch);
  overwrite(scratch);
  expect(Buffer.concat(await pieces)).toEqual(Buffer.from(Array.from({ length: 12 }, (_, at) => at + 1)));
});

test('a scratch without room gives memory of its own', () => {
  const scratch = new Scratch(6);
  const [first, second] = [scratch.take(4), scratch.take(4)];
  expect([first.length, second.length]).toEqual([4, 4]);
  expect(first.buffer).not.toBe(second.buffer);
});
