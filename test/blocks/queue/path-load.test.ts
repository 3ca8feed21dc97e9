/** What is taken for a full path. */
import { describe, expect, it } from 'vitest';
import { PRIORITY_RANK } from '../../../src/blocks/priority.ts';
import { PathLoad } from '../../../src/blocks/queue/path-load.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const BLOCK_BYTES = 256 * 1024;
const ROUND_TRIP_MS = 100;

describe('the load of a path', () => {
  it('is not full by what was held back once and is wanted no more: one reader alone says nothing of the path', async () => {
    const clock = new FakeClock();
    let waits = false;
    const load = new PathLoad(clock, () => waits);
    const before = load.limit;
    const flights = [];
    while (load.admits(PRIORITY_RANK.background, BLOCK_BYTES))
      flights.push(load.begin('background', BLOCK_BYTES, { ended: () => {} }));
    expect(flights.length).toBeGreaterThan(1);
    waits = true;
    await clock.advance(ROUND_TRIP_MS);
    // Whoever wanted all that goes away, in the middle.
    waits = false;
    for (const flight of flights) flight.end(undefined);
    for (let read = 0; read < 200; read++) {
      const flight = load.begin('demand', BLOCK_BYTES, { ended: () => {} });
      await clock.advance(ROUND_TRIP_MS);
      flight.end(BLOCK_BYTES);
    }
    expect(load.limit).toBe(before);
  });

  it('is not full by a range that stalls in the middle, and is again when that goes on', async () => {
    const clock = new FakeClock();
    const load = new PathLoad(clock, () => true);
    const rank = PRIORITY_RANK.readahead;
    // Ranges bring blocks that are smaller.
    const flights = [];
    while (load.admits(rank, 4 * BLOCK_BYTES))
      flights.push(load.begin('readahead', 4 * BLOCK_BYTES, { ended: () => {} }));
    await clock.advance(ROUND_TRIP_MS);
    for (const flight of flights) flight.came(BLOCK_BYTES / 8);
    // As long as a part of each comes now and then, they fill it.
    for (let second = 0; second < 30; second++) {
      await clock.advance(1000);
      for (const flight of flights) flight.moved();
      expect(load.admits(rank, 4 * BLOCK_BYTES)).toBe(false);
    }
    await clock.advance(5000);
    expect(load.admits(rank, 4 * BLOCK_BYTES)).toBe(true);
    for (const flight of flights) flight.moved();
    expect(load.admits(rank, 4 * BLOCK_BYTES)).toBe(false);
    for (const flight of flights) flight.end(undefined);
    expect([load.inFlight, clock.timers]).toEqual([0, 0]);
    expect(load.admits(rank, 4 * BLOCK_BYTES)).toBe(true);
  });

  it('is not filled by a request of which nothing comes, however long it was watched', async () => {
    const clock = new FakeClock();
    const load = new PathLoad(clock, () => true);
    const flights = [];
    while (load.admits(PRIORITY_RANK.readahead, BLOCK_BYTES))
      flights.push(load.begin('readahead', BLOCK_BYTES, { ended: () => {} }));
    await clock.advance(60_000);
    expect(load.admits(PRIORITY_RANK.readahead, BLOCK_BYTES)).toBe(true);
    for (const flight of flights) flight.end(undefined);
    expect(clock.timers).toBe(0);
  });
});
