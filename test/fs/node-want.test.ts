/** One time-out for all that a request has to wait for, one block after another. */
import { expect, test } from 'vitest';
import { NodeWant } from '../../src/fs/node-want.ts';
import { context } from '../support/walk-file-system.ts';

test('the time-out runs from the first wait and is shared by all that follow', () => {
  let now = 5000;
  const want = new NodeWant('demand', 1000, context, () => now);
  now = 6000;
  expect(want.timeoutMs).toBe(1000);
  now = 6400;
  expect(want.timeoutMs).toBe(600);
  now = 9000;
  expect(want.timeoutMs).toBe(1);
  // What the error of a time-out says.
  expect(want.limitMs).toBe(1000);
});
