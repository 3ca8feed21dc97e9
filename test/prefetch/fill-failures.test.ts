/** Failures in a row: how long a fill pauses for them, and when it is to end. */
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { FillFailures } from '../../src/prefetch/fill-failures.ts';
import { FakeClock } from '../support/fake-clock.ts';

const lost = new CodedError('BLOCK_UNAVAILABLE', 'nobody has it');
const notKept = new CodedError('STORE_FULL', 'the disk is full');

test('each makes the pause longer, up to half a minute, and a block that comes ends it', async () => {
  const clock = new FakeClock();
  const failures = new FillFailures(clock);
  expect(failures.pauseMs).toBe(0);
  failures.add(lost);
  const firstMs = failures.pauseMs;
  expect(firstMs).toBeGreaterThanOrEqual(50);
  expect(firstMs).toBeLessThanOrEqual(100);
  await clock.advance(firstMs);
  expect(failures.pauseMs).toBe(0);
  for (let failure = 2; failure <= 20; failure++) failures.add(lost);
  expect(failures.pauseMs).toBeGreaterThanOrEqual(15_000);
  expect(failures.pauseMs).toBeLessThanOrEqual(30_000);
  failures.cameOne();
  expect(failures.pauseMs).toBe(0);
  expect(failures.last).toBe(lost);
});

test('thirty-two in a row are too many, and four of what is not kept are for nothing', () => {
  const failures = new FillFailures(new FakeClock());
  for (let failure = 1; failure < 32; failure++) failures.add(lost);
  expect(failures.areTooMany).toBe(false);
  failures.add(lost);
  expect([failures.areTooMany, failures.areForNothing]).toEqual([true, false]);

  const full = new FillFailures(new FakeClock());
  for (let failure = 1; failure < 4; failure++) full.add(notKept);
  expect(full.areTooMany).toBe(false);
  full.add(notKept);
  expect([full.areTooMany, full.areForNothing]).toEqual([true, true]);
  full.cameOne();
  full.add(notKept);
  expect([full.areTooMany, full.areForNothing]).toEqual([false, false]);
});
