/** What a process that follows a dead one answers, where the kernel cannot send requests again. */
import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RecentRequests, uniquesIn, WaitingRequests } from '../../src/fuse/kernel/in-flight-journal.ts';
import { Scratch } from '../cli/support/scratch.ts';

/** A struct fuse_in_header of that `unique`. */
function request(unique: bigint): Uint8Array {
  const bytes = Buffer.alloc(40);
  bytes.writeBigUInt64LE(unique, 8);
  return bytes;
}

test('all that was read, all that waits, and the one that may have been read and not noted yet', () => {
  using scratch = new Scratch();
  const journal = openSync(scratch.at('in-flight'), 'w+');
  const recent = new RecentRequests(journal);
  const waiting = new WaitingRequests(journal);
  waiting.add(4n);
  waiting.add(6n);
  waiting.remove(4n);
  for (const unique of [1000n, 1004n, 1002n]) recent.note(request(unique));
  const uniques = new Set(uniquesIn(journal));
  closeSync(journal);
  expect([6n, 1000n, 1002n, 1004n, 1006n].every((unique) => uniques.has(unique))).toBe(true);
  expect([0n, 4n, 1_000_000n].some((unique) => uniques.has(unique))).toBe(false);
});
