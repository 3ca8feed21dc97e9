/** The window of one source, fed by hand: what the want queue's tests over a modelled link do not get to. */
import { expect, test } from 'vitest';
import { ConcurrencyWindow, LEAST_REQUEST_BYTES } from '../../../src/blocks/queue/concurrency-window.ts';

/** `count` answers of `bytes` each, with the window full all the while. */
function answer(window: ConcurrencyWindow, count: number, bytes: number): void {
  for (let answers = 0; answers < count; answers++) {
    const receivedBefore = Math.max(0, window.receivedBytes - 16 * bytes);
    const full = { receivedBefore, inFlight: window.size, saturated: true, forReader: false };
    window.answered({ bytes, delayMs: 20, ...full });
  }
}

test('blocks without a byte leave a window that still lets something through', () => {
  // Content may name the empty block by a hundred CIDs, one for each hash function and length.
  const window = new ConcurrencyWindow();
  answer(window, 10, 0);
  window.found(1);
  answer(window, 100, 0);
  expect(window.size).toBeGreaterThanOrEqual(2);
  expect(window.spareBytes).toBeGreaterThanOrEqual(2 * LEAST_REQUEST_BYTES);
  answer(window, 1000, 256 * 1024);
  expect(window.size).toBeGreaterThanOrEqual(2);
});
