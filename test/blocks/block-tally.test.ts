/** What is counted as here when one of the two that keep blocks has one no more. */
import { expect, test } from 'vitest';
import { BlockTally } from '../../src/blocks/block-tally.ts';
import { spaceOf } from '../../src/blocks/disk/disk-total.ts';
import { PRESENT } from '../../src/blocks/fingerprint-set.ts';

const BYTES = 1000;
/** Of a walk. */
const MARK = PRESENT << 2;

test.each([
  // What is left: bytes here, and the room of what may be evicted.
  ['the cache', true, 'cache', false, { bytesHere: 0, evictableBytes: 0 }],
  ['the cache, and the local store has it', true, 'cache', true, { bytesHere: BYTES, evictableBytes: 0 }],
  ['the local store', false, 'store', false, { bytesHere: 0, evictableBytes: 0 }],
  ['the local store, and the cache has it', false, 'store', true, { bytesHere: BYTES, evictableBytes: spaceOf(BYTES) }],
] as const)('a block that leaves %s', (_whom, evictable, from, kept, left) => {
  const tally = new BlockTally();
  tally.here('key', BYTES, evictable);
  expect(tally.gone('key', BYTES, kept, from)).toBe(!kept);
  expect(tally.gone('of nobody', BYTES, kept, from)).toBe(false);
  const { bytesHere, evictableBytes } = tally;
  expect({ bytesHere, evictableBytes }).toEqual(left);
});

test("a walk's marks stand beside what is here, are one walk's at a time, and are gone with it", () => {
  const tally = new BlockTally();
  const [here, went, met] = ['here: 12345678', 'went: abcdefgh', 'met: ABCDEFGH'] as const;
  for (const key of [here, went]) tally.here(key, BYTES, true);
  const { marks, giveBack } = tally.lendMarks();
  const second = tally.lendMarks();
  expect(second.marks).not.toBe(marks);
  for (const key of [here, went, met]) expect(marks.add(key, MARK)).toBe(true);
  expect(tally.gone(went, BYTES, false)).toBe(true);
  expect(tally.gone(met, BYTES, false)).toBe(false);
  // It was met all the same.
  expect([here, went, met].map((key) => marks.has(key, MARK))).toEqual([true, true, true]);
  expect([tally.blocksHere, tally.bytesHere]).toEqual([1, BYTES]);
  expect(tally.here(met, BYTES, true)).toBe(true);
  second.giveBack();
  giveBack();
  const again = tally.lendMarks();
  expect(again.marks).toBe(marks);
  expect([here, went, met].map((key) => marks.has(key, MARK))).toEqual([false, false, false]);
  expect([here, went, met].map((key) => marks.has(key))).toEqual([true, false, true]);
  expect([tally.blocksHere, tally.bytesHere, marks.size]).toEqual([2, 2 * BYTES, 2]);
});

test('of a count anew, a walk keeps its marks in that', () => {
  const tally = new BlockTally();
  const anew = tally.countAnew();
  const { marks, giveBack } = anew.lendMarks();
  marks.add('met: ABCDEFGH', MARK);
  anew.here('here: 12345678', BYTES, true);
  giveBack();
  tally.adopt(anew);
  expect([tally.blocksHere, marks.size]).toEqual([1, 1]);
  expect(tally.lendMarks().marks).toBe(marks);
});
