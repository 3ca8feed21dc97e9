/** What is counted as here when one of the two that keep blocks has one no more. */
import { expect, test } from 'vitest';
import { BlockTally } from '../../src/blocks/block-tally.ts';
import { spaceOf } from '../../src/blocks/disk/disk-total.ts';

const BYTES = 1000;

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
