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

function makeLane(): SourceLane {
  const source = { name: 'a source', getBlock: () => new Promise<never>(() => {}), close: async () => {} };
  return new SourceLane(source, new FakeClock(), () => 0.5, 20_000);
}

test('of small blocks as many are under way as of large ones, each for 8 KiB at least', () => {
  expect(begin(makeLane(), 'profile', 3000)).toBe(256);
  expect(begin(makeLane(), 'readahead', 3000)).toBe(256);
  expect(begin(makeLane(), 'profile', 64 * KIB)).toBe(32);
  expect(begin(makeLane(), 'profile', 1024 * KIB)).toBe(2);
  // The next of as large as all of it begins when half of the former came.
  expect(begin(makeLane(), 'profile', 2048 * KIB)).toBe(1);
  expect(begin(makeLane(), 'background', 256 * KIB)).toBe(8);
});

test('less is under way at a source that failed', () => {
  const lane = makeLane();
  lane.fault('failed', 'cut off', 0);
  lane.received(1000);
  // Seven tenths of two megabytes.
  expect(begin(lane, 'background', 256 * KIB)).toBe(5);
});

test('a range goes out where little is under way, and waits where that fills the path', () => {
  const idle = makeLane();
  expect(begin(idle, 'demand', 3000, 20)).toBe(20);
  expect(begin(idle, 'readahead', 1_000_000)).toBe(1);
  const busy = makeLane();
  expect(begin(busy, 'demand', 1_000_000, 12)).toBe(12);
  expect(begin(busy, 'readahead', 1_000_000)).toBe(0);
});
