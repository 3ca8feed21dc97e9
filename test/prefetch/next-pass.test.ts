/** When the next pass over a volume is due. */
import { expect, test } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { NextPass } from '../../src/prefetch/next-pass.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const MIB = 1024 * 1024;

/** How long it takes until `wait` is over, by a clock that is moved a second at a time; `meanwhile` is called before each. */
async function secondsOf(
  clock: FakeClock,
  wait: Promise<unknown>,
  meanwhile = (_second: number) => {},
): Promise<number> {
  let isOver = false;
  void wait.then(() => {
    isOver = true;
  });
  for (let second = 0; second < 10_000; second++) {
    meanwhile(second);
    await settle();
    if (isOver) return second;
    await clock.advance(1000);
  }
  throw new Error('never');
}

test('it comes soon after a first failure, ever later after more, and not later than every five minutes', async () => {
  const clock = new FakeClock();
  const next = new NextPass(clock);
  const { signal } = new AbortController();
  const first = await secondsOf(clock, next.afterFailures(1, signal));
  const third = await secondsOf(clock, next.afterFailures(3, signal));
  const last = await secondsOf(clock, next.afterFailures(50, signal));
  expect(first).toBeLessThanOrEqual(5);
  expect(third).toBeGreaterThan(first);
  expect(third).toBeLessThanOrEqual(20);
  expect(last).toBeGreaterThan(third);
  expect(last).toBeLessThanOrEqual(300);
});

test('it waits for room for 64 MiB, or for what is missing where that is less', async () => {
  const clock = new FakeClock();
  const next = new NextPass(clock);
  const { signal } = new AbortController();
  let roomBytes = 0;
  const hasRoom = (bytes: number) => bytes <= roomBytes;
  const unknown = next.withRoom(hasRoom, () => Number.POSITIVE_INFINITY, signal);
  const grow = (second: number) => {
    roomBytes = second < 150 ? 63 * MIB : 64 * MIB;
  };
  expect(await secondsOf(clock, unknown, grow)).toBe(180);
  roomBytes = 2 * MIB;
  let missingBytes = 3 * MIB;
  const nearlyWhole = next.withRoom(hasRoom, () => missingBytes, signal);
  const shrink = (second: number) => {
    if (second === 61) missingBytes = 2 * MIB;
  };
  expect(await secondsOf(clock, nearlyWhole, shrink)).toBe(120);
});

test('it counts each minute, less often where a count takes long, and at once where it is to, but once', async () => {
  const clock = new FakeClock();
  const next = new NextPass(clock);
  const { signal } = new AbortController();
  expect(await secondsOf(clock, next.thatCounts(0, signal))).toBe(60);
  expect(await secondsOf(clock, next.thatCounts(4000, signal))).toBe(200);
  const sooner = (second: number) => {
    if (second === 7) next.now();
  };
  expect(await secondsOf(clock, next.thatCounts(0, signal), sooner)).toBe(7);
  expect(await secondsOf(clock, next.thatCounts(0, signal))).toBe(60);
  // While another pass runs.
  next.now();
  expect(await secondsOf(clock, next.thatCounts(0, signal))).toBe(0);
});

test('whatever it waits for, it ends with the mount', async () => {
  const clock = new FakeClock();
  const next = new NextPass(clock);
  const mount = new AbortController();
  const waits = [
    next.afterFailures(1, mount.signal),
    next.withRoom(
      () => false,
      () => 1,
      mount.signal,
    ),
    next.thatCounts(0, mount.signal),
    next.thatCountsFirst(new Promise(() => {}), () => 1, mount.signal),
  ];
  mount.abort();
  for (const wait of waits) expect(await wait.catch(codeOf)).toBe('ABORTED');
  expect(clock.timers).toBe(0);
});

test('the first counts when the start is over or has all that it was foretold, and waits for neither for ever', async () => {
  const clock = new FakeClock();
  const next = new NextPass(clock);
  const { signal } = new AbortController();
  const never = new Promise<void>(() => {});
  const until = (endMs: number) => () => Math.min(500, Math.max(0, endMs - clock.nowMs()));
  expect(await secondsOf(clock, next.thatCountsFirst(never, until(clock.nowMs() + 7000), signal))).toBe(7);
  const { promise, reject } = Promise.withResolvers<void>();
  const fail = (second: number) => {
    if (second === 3) reject(new Error('nobody has it'));
  };
  expect(await secondsOf(clock, next.thatCountsFirst(promise, until(Infinity), signal), fail)).toBe(3);
  expect(clock.timers).toBe(0);
});
