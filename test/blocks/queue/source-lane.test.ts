/** How much may be under way at one source, by its number and by its bytes. */
import { expect, test } from 'vitest';
import type { Priority } from '../../../src/blocks/priority.ts';
import { PRIORITY_RANK } from '../../../src/blocks/priority.ts';
import { SourceLane } from '../../../src/blocks/queue/source-lane.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const KIB = 1024;

/** How many requests for `bytes` each begin before one is held back. */
function begin(lane: SourceLane, priority: Priority, bytes: number, most = 1000): number {
  let begun = 0;
  for (; begun < most && lane.admits(PRIORITY_RANK[priority], bytes); begun++) lane.begin(priority, bytes);
  return begun;
}

function makeLane({ isKnown = false } = {}): SourceLane {
  const source = { name: 'a source', getBlock: () => new Promise<never>(() => {}), close: async () => {} };
  const lane = new SourceLane(source, new FakeClock(), () => 0.5, 20_000);
  if (isKnown) {
    // A failure ends the search: eleven requests of 256 KiB from here on, and what else is nothing to the path.
    lane.fault('failed', 'cut off', 0);
    lane.received(1000);
  }
  return lane;
}

test('of small blocks as many are under way as of large ones, each for 8 KiB at least', () => {
  expect(begin(makeLane(), 'profile', 3000)).toBe(256);
  expect(begin(makeLane(), 'readahead', 3000)).toBe(256);
  expect(begin(makeLane(), 'profile', 64 * KIB)).toBe(32);
  expect(begin(makeLane(), 'profile', 1024 * KIB)).toBe(2);
  // Ten blocks, and the one that is on the link.
  expect(begin(makeLane({ isKnown: true }), 'background', 256 * KIB)).toBe(11);
  expect(begin(makeLane({ isKnown: true }), 'background', 3000)).toBe(256);
  expect(begin(makeLane({ isKnown: true }), 'readahead', 512 * KIB)).toBe(6);
});

test('a range goes out where little is under way, and waits where that fills the path', () => {
  const idle = makeLane({ isKnown: true });
  expect(begin(idle, 'demand', 3000, 20)).toBe(20);
  expect(begin(idle, 'readahead', 1_000_000)).toBe(4);
  const busy = makeLane({ isKnown: true });
  expect(begin(busy, 'demand', 1_000_000, 12)).toBe(12);
  expect(begin(busy, 'readahead', 1_000_000)).toBe(0);
});
