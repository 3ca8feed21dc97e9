/** How much is written in one turn, by what the turns before took. */
import { expect, test } from 'vitest';
import { WritePace } from '../../src/cache/write-pace.ts';

const MIB = 1024 ** 2;

test('a slow disk is given what it takes in a second, at least an eighth of a MiB, and more again once it is fast', () => {
  const pace = new WritePace();
  const most = pace.bytesPerTurn;
  expect(most).toBe(4 * MIB);
  pace.wrote(4 * MIB, 8000);
  expect(pace.bytesPerTurn).toBe(MIB / 2);
  pace.wrote(MIB / 2, 60_000);
  expect(pace.bytesPerTurn).toBe(MIB / 8);
  // A turn with little in it takes little, of whatever disk.
  for (let turns = 0; turns < 5; turns++) pace.wrote(1000, 30);
  expect(pace.bytesPerTurn).toBe(most);
});
