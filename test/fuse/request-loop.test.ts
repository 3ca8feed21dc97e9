/** The turns of requests: when the next one is watched for, and when others have theirs. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RequestLoop } from '../../src/fuse/kernel/request-loop.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setImmediate'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A ring that is filled by hand; `soon` requests come while somebody watches. */
function ringOf(soon: number) {
  const state = { waiting: 0, soon, watched: 0, wake: undefined as (() => void) | undefined };
  const come = (count: number) => {
    state.waiting += count;
    const { wake } = state;
    state.wake = undefined;
    wake?.();
  };
  const ring = {
    peek: () => (state.waiting > 0 ? new Uint8Array(1) : undefined),
    release: () => {
      state.waiting--;
    },
    linger: () => {
      state.watched++;
      if (state.soon === 0) return false;
      state.soon--;
      state.waiting++;
      return true;
    },
    whenMore: (wake: () => void) => {
      state.wake = wake;
    },
  };
  return { state, come, ring };
}

test('watches for the next request as long as that is not in vain, then the less the more often it was, and again', () => {
  const { state, come, ring } = ringOf(3);
  let handled = 0;
  new RequestLoop(ring, () => {
    handled++;
  }).start();
  come(1);
  expect(handled).toBe(4);
  // Three came while it watched, and the fourth time was in vain.
  expect(state.watched).toBe(4);
  const watched: number[] = [];
  for (let times = 0; times < 60; times++) {
    const before = state.watched;
    come(1);
    if (state.watched > before) watched.push(times);
  }
  expect(handled).toBe(64);
  expect(watched).toEqual([0, 2, 6, 14, 30, 46]);
  state.soon = 1;
  for (let times = 60; times < 62; times++) come(1);
  expect(handled).toBe(66);
  // The one that came was watched for, and so is what comes next.
  state.soon = 1;
  come(1);
  come(1);
  expect(handled).toBe(69);
});

test('gives timers and sockets their turn after eight requests, and goes on', () => {
  const { state, come, ring } = ringOf(0);
  let handled = 0;
  new RequestLoop(ring, () => {
    handled++;
  }).start();
  come(20);
  expect(handled).toBe(8);
  vi.runAllTicks();
  vi.advanceTimersToNextTimer();
  expect(handled).toBe(16);
  vi.advanceTimersToNextTimer();
  expect(handled).toBe(20);
  expect(state.wake).toBeDefined();
});

test('handles nothing once it was stopped', () => {
  const { come, ring } = ringOf(0);
  let handled = 0;
  const loop = new RequestLoop(ring, () => {
    handled++;
    loop.stop();
  });
  loop.start();
  come(5);
  come(5);
  vi.runAllTimers();
  expect(handled).toBe(1);
});
