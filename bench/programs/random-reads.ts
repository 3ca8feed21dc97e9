/**
 * `random-reads.ts FILE COUNT SIZE READERS [PAUSE_MS [SKIP]]`: that many reads of SIZE bytes at random places, no two in one
 * MiB, READERS at once, each pausing between its reads; SKIP passes over so many places first; prints `{"meanMs", "seconds", "delaysMs": […]}`. A program of
 * its own, since a mount is never touched from who serves it. Set UV_THREADPOOL_SIZE to READERS at least.
 */
import { closeSync, openSync, read, readSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const REGION_BYTES = 1024 * 1024;

const [path = '', countText = '', sizeText = '', readersText = '1', pauseText = '0', skipText = '0'] =
  process.argv.slice(2);
const size = Number(sizeText);
const sizeBytes = statSync(path).size;
const regions = Math.max(1, Math.floor(sizeBytes / REGION_BYTES));
const file = openSync(path, 'r');
const readFrom = promisify(read);

// A linear congruential generator (Numerical Recipes): the same places in each run, for every contender.
let state = 1;
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
const order = Array.from({ length: regions }, (_, region) => region);
for (let last = regions - 1; last > 0; last--) {
  const other = random(last + 1);
  [order[last], order[other]] = [order[other] as number, order[last] as number];
}
const slots = Math.floor(Math.min(REGION_BYTES, sizeBytes) / size);
const places = Array.from(
  { length: Number(countText) },
  (_, index) => (order[(index + Number(skipText)) % regions] as number) * REGION_BYTES + random(slots) * size,
);

const delaysMs: number[] = [];
const startMs = performance.now();
await Promise.all(Array.from({ length: Number(readersText) }, reader));
const seconds = (performance.now() - startMs) / 1000;
closeSync(file);
const meanMs = delaysMs.reduce((sum, delay) => sum + delay, 0) / delaysMs.length;
console.log(JSON.stringify({ meanMs, seconds, delaysMs }));

async function reader(): Promise<void> {
  const buffer = Buffer.alloc(size);
  const alone = Number(readersText) === 1;
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const sinceMs = performance.now();
    // A thread's hand-over would be a good part of a local read.
    if (alone) readSync(file, buffer, 0, size, place);
    else await readFrom(file, buffer, 0, size, place);
    delaysMs.push(performance.now() - sinceMs);
    if (Number(pauseText) > 0) await pause(Number(pauseText));
  }
}
