/** The background's regard for the event loop, by a clock and a use of the loop that are the test's. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/blocks/clock.ts';
import { LoopShare } from '../../src/prefetch/loop-share.ts';
import { FakeClock } from '../support/fake-clock.ts';

function setUp() {
  const clock = new FakeClock();
  let use = 0;
  let requests = 0;
  const share = new LoopShare(
    clock,
    () => requests,
    () => use,
  );
  /** Where the loop is used so much, whether the background is held, each 20 ms. */
  const after = async (loopUse: number, samples: number, readers = true) => {
    use = loopUse;
    const held: boolean[] = [];
    for (let sample = 0; sample < samples; sample++) {
      await clock.advance(20);
      if (readers) requests++;
      held.push(share.holdMs > 0);
    }
    return held;
  };
  return { clock, share, after };
}

test('a loop with time to spare holds nobody', async () => {
  const { after } = setUp();
  expect(await after(0.8, 5)).toEqual([false, false, false, false, false]);
});

test('while the loop is at work all the time nothing begins, and at once when it is not', async () => {
  const { share, after } = setUp();
  expect(await after(0.95, 3)).toEqual([true, true, true]);
  expect(share.holdMs).toBeLessThanOrEqual(20);
  expect(await after(0.5, 2)).toEqual([false, false]);
});

test('without readers the background may have all of it', async () => {
  const { after } = setUp();
  expect(await after(1, 3, false)).toEqual([false, false, false]);
});

test('readers who never end do not hold it for ever', async () => {
  const { after } = setUp();
  const held = await after(1, 200);
  expect(held.filter((each) => !each)).toHaveLength(3);
  expect(held[0]).toBe(true);
});

test('measures this thread, where nothing else is given', () => {
  let requests = 0;
  const share = new LoopShare(systemClock, () => ++requests);
  for (const sinceMs = performance.now(); performance.now() - sinceMs < 50; );
  expect(share.holdMs).toBeGreaterThan(0);
});
