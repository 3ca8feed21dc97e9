/**
 * `random-reads.ts FILE COUNT SIZE`: that many reads of SIZE bytes at random aligned places, one after the other; prints
 * the microseconds a read took on average. A program of its own, since a mount is never touched from who serves it.
 */
import { openSync, readSync, statSync } from 'node:fs';

const [path = '', countText = '', sizeText = ''] = process.argv.slice(2);
const count = Number(countText);
const size = Number(sizeText);
const slots = Math.floor(statSync(path).size / size);
const file = openSync(path, 'r');
const buffer = Buffer.alloc(size);

// A linear congruential generator (Numerical Recipes): the same places in each run, for every contender.
let state = 1;
const start = process.hrtime.bigint();
for (let index = 0; index < count; index++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  readSync(file, buffer, 0, size, (state % slots) * size);
}
console.log(Number(process.hrtime.bigint() - start) / 1000 / count);
