/** What fills have on their way: by number, by what the disk takes, and by what all of them may have together. */
import { expect, test } from 'vitest';
import { SharedBound } from '../../src/fs/shared-bound.ts';
import { FillUnderWay, MAX_UNDER_WAY_BYTES } from '../../src/prefetch/fill-under-way.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const MIB = 1024 * 1024;
const { signal } = new AbortController();

function parts() {
  const cache = { waitingBytes: 0 };
  return { cache, clock: new FakeClock(), underWay: new SharedBound<object>(MAX_UNDER_WAY_BYTES) };
}

/** Something that is under way until `end`. */
function begin(fill: FillUnderWay, bytes: number): { readonly end: () => Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  fill.add(promise, bytes);
  return {
    end: async () => {
      resolve();
      await settle();
    },
  };
}

async function hasRoom(fill: FillUnderWay, bytes: number): Promise<boolean> {
  const left = new AbortController();
  let has = false;
  const waiting = fill.untilRoom(bytes, left.signal).then(() => {
    has = !left.signal.aborted;
  });
  await settle();
  left.abort();
  fill.wake();
  await waiting;
  return has;
}

test('a fill has 256 blocks under way, and is idle when all have ended', async () => {
  const fill = new FillUnderWay(parts());
  expect(fill.isIdle).toBe(true);
  const all = Array.from({ length: 256 }, () => begin(fill, 1));
  expect([fill.isFull, fill.isIdle, fill.bytes]).toEqual([true, false, 256]);
  const ended = fill.oneEnded();
  await all[0]?.end();
  await ended;
  expect([fill.isFull, fill.bytes]).toEqual([false, 255]);
  for (const each of all) await each.end();
  expect([fill.isIdle, fill.bytes]).toEqual([true, 0]);
});

test('it waits for a disk that is slower than the link, and looks again when nothing ends', async () => {
  const shared = parts();
  const fill = new FillUnderWay(shared);
  const first = begin(fill, 12 * MIB);
  expect(await hasRoom(fill, 8 * MIB)).toBe(true);
  expect(await hasRoom(fill, 9 * MIB)).toBe(false);
  await first.end();
  shared.cache.waitingBytes = 12 * MIB;
  let may = false;
  const waiting = fill.untilRoom(9 * MIB, signal).then(() => {
    may = true;
  });
  await shared.clock.advance(100);
  expect(may).toBe(false);
  shared.cache.waitingBytes = 0;
  await shared.clock.advance(20);
  await waiting;
  // A block that is larger than all of it comes alone.
  expect(await hasRoom(fill, 30 * MIB)).toBe(true);
  expect(shared.clock.timers).toBe(0);
});

test('fills that run beside each other leave each other room, and one whose source is silent does not take it for ever', async () => {
  const shared = parts();
  const [silent, other] = [new FillUnderWay(shared), new FillUnderWay(shared)];
  while (await hasRoom(silent, MIB)) begin(silent, MIB);
  expect(silent.bytes).toBe(20 * MIB);
  const others: ReturnType<typeof begin>[] = [];
  while (await hasRoom(other, MIB)) others.push(begin(other, MIB));
  expect(other.bytes).toBe(8 * MIB);
  for (const each of others) await each.end();
  expect(await hasRoom(other, MIB)).toBe(true);
});
