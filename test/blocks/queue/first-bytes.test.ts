/** How much of a boot profile is under way, on a model of a link: it takes each block its length, half a round trip each way. */
import { expect, test } from 'vitest';
import { FIRST_BYTES, FirstBytes } from '../../../src/blocks/queue/first-bytes.ts';

const MIB = 1024 * 1024;
const BLOCK_BYTES = 27_000;
const ROUND_TRIP_MS = 50;

/** Milliseconds until so much came, and how much was under way at the end. */
function fetchAll(totalBytes: number, megabits: number, first: { limit: number; answered?: FirstBytes['answered'] }) {
  const bytesPerMs = (megabits * 1e6) / 8 / 1000;
  const underWay: { sentMs: number; dueMs: number }[] = [];
  let linkFreeMs = 0;
  let asked = 0;
  let came = 0;
  let nowMs = 0;
  while (came < totalBytes) {
    while (asked < totalBytes && (underWay.length + 1) * BLOCK_BYTES <= first.limit) {
      linkFreeMs = Math.max(linkFreeMs, nowMs + ROUND_TRIP_MS / 2) + BLOCK_BYTES / bytesPerMs;
      underWay.push({ sentMs: nowMs, dueMs: linkFreeMs + ROUND_TRIP_MS / 2 });
      asked += BLOCK_BYTES;
    }
    const answer = underWay.shift();
    if (!answer) break;
    nowMs = answer.dueMs;
    came += BLOCK_BYTES;
    first.answered?.(nowMs, BLOCK_BYTES, nowMs - answer.sentMs);
  }
  return { ms: nowMs, limit: first.limit };
}

test('a fast link is full after a few round trips', () => {
  const { ms } = fetchAll(13 * MIB, 1000, new FirstBytes());
  // The link takes 109 ms of these.
  expect(ms).toBeLessThan(250);
  expect(fetchAll(13 * MIB, 1000, { limit: FIRST_BYTES }).ms).toBeGreaterThan(350);
});

test('a slow link has no more than that on it, however much it is given', () => {
  for (const megabits of [10, 25, 100]) {
    expect(fetchAll(200 * MIB, megabits, new FirstBytes()).limit).toBe(FIRST_BYTES);
  }
});

test('any link has a bounded number of round trips on it', () => {
  for (const megabits of [200, 500, 1000, 10_000]) {
    const pathBytes = (megabits * 1e6 * ROUND_TRIP_MS) / 8 / 1000;
    const { limit } = fetchAll(500 * MIB, megabits, new FirstBytes());
    expect(limit).toBeGreaterThanOrEqual(Math.min(pathBytes, 32 * MIB));
    expect(limit).toBeLessThanOrEqual(Math.min(5 * pathBytes, 32 * MIB));
  }
});

test('a slow link whose requests share it, so that none is quicker than all, has no more than that on it', () => {
  const first = new FirstBytes();
  // 10 Mbit/s: whatever is under way comes at once at its end.
  for (let nowMs = 0; nowMs < 60_000; ) {
    const takesMs = first.limit / 1250;
    nowMs += takesMs;
    for (let came = 0; came < first.limit; came += MIB) first.answered(nowMs, MIB, takesMs);
  }
  expect(first.limit).toBe(FIRST_BYTES);
});
