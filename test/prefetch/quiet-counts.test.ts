/** When a count by the way begins, and what ends it. */
import { expect, test } from 'vitest';
import { QuietCounts } from '../../src/prefetch/quiet-counts.ts';
import { FakeClock } from '../support/fake-clock.ts';

const BOUND = 1_000_000;

test('a walk ends where memory has room for no more, and none begins then', async () => {
  const counts = new QuietCounts(
    new FakeClock(),
    () => 0,
    () => 0,
  );
  let blocks = BOUND - 1;
  let ended = true;
  const walk = counts.add(
    new AbortController().signal,
    () => blocks,
    async (rest) => {
      blocks = BOUND + 1;
      await rest(1);
      ended = false;
    },
  );
  expect(await walk).toBe('never');
  expect(ended).toBe(true);
  let begun = false;
  const next = counts.add(
    new AbortController().signal,
    () => blocks,
    async () => {
      begun = true;
    },
  );
  expect(await next).toBe('later');
  expect(begun).toBe(false);
});

test('a count in which a disk did not answer is not taken, and ends at the next rest', async () => {
  let unanswered = 7;
  const counts = new QuietCounts(
    new FakeClock(),
    () => 0,
    () => unanswered,
  );
  const { signal } = new AbortController();
  const unsure = async () => {
    unanswered++;
  };
  expect(await counts.add(signal, () => 0, unsure)).toBe('later');
  let ended = true;
  const walk = counts.add(
    signal,
    () => 0,
    async (rest) => {
      unanswered++;
      await rest(1);
      ended = false;
    },
  );
  expect(await walk).toBe('later');
  expect(ended).toBe(true);
  expect(
    await counts.add(
      signal,
      () => 0,
      async () => undefined,
    ),
  ).toBe('done');
});
