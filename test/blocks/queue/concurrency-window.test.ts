/** The window of one source, fed by hand: what the want queue's tests over a modelled link do not get to. */
import { expect, test } from 'vitest';
import { ConcurrencyWindow } from '../../../src/blocks/queue/concurrency-window.ts';

/** `count` answers of `bytes` each, a millisecond apart, with the window full all the while. */
function answer(window: ConcurrencyWindow, count: number, bytes: number): void {
  for (let nowMs = 0; nowMs < count; nowMs++) {
    const receivedBefore = Math.max(0, window.receivedBytes - 16 * bytes);
    const full = { receivedBefore, inFlight: window.size, saturated: true, forReader: false };
    window.answered({ nowMs, bytes, delayMs: 20, ...full });
  }
}

test('blocks without a byte leave a window that still lets something through', () => {
  // Content may name the empty block by a hundred CIDs, one for each hash function and length.
  const window = new ConcurrencyWindow();
  answer(window, 100, 0);
  expect(window.size).toBeGreaterThanOrEqual(2);
  expect(window.spareSize).toBeGreaterThanOrEqual(2);
  answer(window, 1000, 256 * 1024);
  expect(window.size).toBeGreaterThanOrEqual(2);
});
