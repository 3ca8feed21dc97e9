/** What asks the kernel to forget: its bytes, its pace, and its end. */
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Pruning } from '../../src/fuse/kernel/pruning.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { until } from './outside.ts';

let directory: string;
let descriptor: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pruning-'));
  descriptor = openSync(join(directory, 'device'), 'w');
});
afterEach(() => {
  closeSync(descriptor);
  rmSync(directory, { recursive: true });
});

function setUp(surplus: () => readonly number[], to = descriptor) {
  const clock = { nowMs: 1000, looks: 0 };
  const now = () => {
    clock.looks++;
    return clock.nowMs;
  };
  const logger = new RecordingLogger();
  return { clock, logger, pruning: new Pruning({ surplus }, to, logger, now) };
}

const written = () => fstatSync(descriptor).size;

test('names the numbers in one notification, as the kernel reads it', async () => {
  const { pruning } = setUp(() => [2 ** 40 + 3, 7]);
  pruning.step();
  await until('it is written', () => written() > 0);
  const bytes = readFileSync(join(directory, 'device'));
  const fields = [bytes.readUInt32LE(0), bytes.readInt32LE(4), bytes.readBigUInt64LE(8), bytes.readUInt32LE(16)];
  expect(fields).toEqual([48, 9, 0n, 2]);
  expect([bytes.readBigUInt64LE(20), bytes.readUInt32LE(28)]).toEqual([0n, 0]);
  expect([bytes.readBigUInt64LE(32), bytes.readBigUInt64LE(40)]).toEqual([2n ** 40n + 3n, 7n]);
});

test('writes one at a time, rests three times as long as that took, and asks nothing where there is room', async () => {
  let asked = 0;
  const { clock, pruning } = setUp(() => {
    asked++;
    return [2];
  });
  pruning.step();
  pruning.step();
  expect(asked).toBe(1);
  // It takes 10 ms by this clock, however long it takes.
  clock.nowMs += 10;
  await until('it has been written, and rests', () => clock.looks === 2);
  expect(written()).toBe(40);
  clock.nowMs += 29;
  pruning.step();
  expect(asked).toBe(1);
  clock.nowMs += 1;
  pruning.step();
  expect(asked).toBe(2);
  await until('it is written again', () => written() === 80);

  const roomy = setUp(() => []);
  roomy.pruning.step();
  await new Promise<void>((resolve) => roomy.pruning.end(resolve));
  expect(written()).toBe(80);
});

test('a kernel that refuses is asked once a minute, and that is said once', async () => {
  let asked = 0;
  const readOnly = openSync(join(directory, 'device'), 'r');
  const { clock, logger, pruning } = setUp(() => [++asked], readOnly);
  pruning.step();
  await until('it is said', () => logger.said('warn').length > 0);
  clock.nowMs += 59_999;
  pruning.step();
  expect(asked).toBe(1);
  clock.nowMs += 1;
  pruning.step();
  expect(asked).toBe(2);
  await new Promise<void>((resolve) => pruning.end(resolve));
  expect(logger.said('warn')).toEqual(['the kernel cannot be asked to forget files and directories']);
  closeSync(readOnly);
});

test('its descriptor may be closed when nothing is written any more, and not before', async () => {
  const { pruning } = setUp(() => [2]);
  pruning.step();
  let ended = false;
  const end = new Promise<void>((resolve) =>
    pruning.end(() => {
      ended = true;
      resolve();
    }),
  );
  expect(ended).toBe(false);
  await end;
  expect(written()).toBe(40);
  pruning.step();
  expect(written()).toBe(40);
});
