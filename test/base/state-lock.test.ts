/** One process a state directory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { messageChain } from '../../src/base/errors.ts';
import { lockStateDirectory } from '../../src/base/state-lock.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'state-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('is held by one at a time, and by the next once it is released', () => {
  const lock = lockStateDirectory(directory);
  expect(() => lockStateDirectory(directory)).toThrow(expect.objectContaining({ code: 'STATE_LOCKED' }));
  lockStateDirectory(directory, 'daemon').release();
  lock.release();
  lockStateDirectory(directory).release();
});

test('a lock that cannot be taken for any other reason is not said to be another process’s', () => {
  writeFileSync(join(directory, 'lock.db'), Buffer.alloc(8192, 'what a power cut left'));
  let told: unknown;
  try {
    lockStateDirectory(directory);
  } catch (error) {
    told = error;
  }
  expect(told).toMatchObject({ code: 'CONFIG_INVALID' });
  expect(messageChain(told)).toBe(`the state directory ${directory} cannot be used: file is not a database`);
});
