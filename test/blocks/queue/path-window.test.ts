/** The window of one source, fed by hand: what the want queue's tests over a modelled link do not get to. */
import { expect, test } from 'vitest';
import { LEAST_REQUEST_BYTES, PathWindow } from '../../../src/blocks/queue/path-window.ts';

/** `count` answers of `bytes` each, with as much under way as may be. */
function answer(window: PathWindow, from: number, count: number, bytes: number): void {
  for (let answers = 0; answers < count; answers++) {
    const nowMs = 20 * (1 + from + answers);
    const receivedBefore = Math.max(0, window.receivedBytes - 16 * bytes);
    const load = Math.max(bytes, LEAST_REQUEST_BYTES);
    const full = { receivedBefore, loadBytes: 256 * load, isFull: true, isFirst: true, forReader: false };
    window.answered({ nowMs, bytes, load, delayMs: 20, ...full });
  }
}

test('blocks without a byte leave a window that still lets something through', () => {
  // Content may name the empty block by a hundred CIDs, one for each hash function and length.
  const window = new PathWindow();
  answer(window, 0, 3000, 0);
  expect(window.size).toBeGreaterThanOrEqual(2);
  expect(window.roomFor(LEAST_REQUEST_BYTES, 1, true)).toBeGreaterThanOrEqual(LEAST_REQUEST_BYTES);
  expect(window.timeMsOf(1000)).toBeGreaterThanOrEqual(0);
  answer(window, 3000, 1000, 256 * 1024);
  expect(window.size).toBeGreaterThanOrEqual(2);
  expect(window.roomFor(256 * 1024, 1, true)).toBeGreaterThanOrEqual(256 * 1024);
});
