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
});
