/** The pulse of a disk, and a cache whose disk has none: a fifo that nobody writes to is opened for as long as a test wants. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { blockKey } from '../../../src/blocks/block.ts';
import { DiskPulse } from '../../../src/blocks/disk/disk-pulse.ts';
import { DiskCache } from '../../../src/cache/disk-cache.ts';
import { Scratch } from '../../cli/support/scratch.ts';
import { until } from '../../support/daemon.ts';
import { makeBlock } from '../../support/make-block.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';

/** From now on whoever reads the file waits. */
function silence(path: string): void {
  rmSync(path, { force: true });
  execFileSync('mkfifo', [path]);
}

/** Who waits is answered, and who comes later finds the file anew. */
function answer(path: string): void {
  const descriptor = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  rmSync(path);
  closeSync(descriptor);
}

test('a disk that answers is fresh for a while; what it is asked for is made, but never its directory', async () => {
  using scratch = new Scratch();
  const pulse = new DiskPulse(scratch.path);
  expect(pulse.isFresh).toBe(false);
  expect(await pulse.answers(10_000)).toBe(true);
  expect(pulse.isFresh).toBe(true);
  expect(readFileSync(scratch.at('pulse'))).toHaveLength(4096);
  // As a full disk, or a power cut, leaves it: of an empty file nothing is asked of the device.
  writeFileSync(scratch.at('pulse'), '');
  await until(
    'it is whole again',
    async () => (await pulse.answers(10_000)) && statSync(scratch.at('pulse')).size === 4096,
  );
  const gone = new DiskPulse(scratch.at('gone'));
  // Not there is an answer.
  expect(await gone.answers(10_000)).toBe(true);
  expect(existsSync(scratch.at('gone'))).toBe(false);
});

test('a disk that is silent is late, which whoever comes then is told at once, until it answers', async () => {
  using scratch = new Scratch();
  const path = scratch.at('pulse');
  silence(path);
  const pulse = new DiskPulse(scratch.path);
  expect(pulse.isLate).toBe(false);
  expect(await pulse.answers(100)).toBe(false);
  await until('it is late', () => pulse.isLate);
  // Those who have waited longer than that by now.
  const begun = performance.now();
  expect(await pulse.answers(400)).toBe(false);
  expect(performance.now() - begun).toBeLessThan(400);
  answer(path);
  await until('it has answered', () => pulse.isFresh);
  expect(pulse.isLate).toBe(false);
});

test('a disk that takes long for each answer is fresh for longer: what memory has of it waits for none of them', async () => {
  let nowMs = 0;
  const beats: (() => void)[] = [];
  const gives = () => new Promise<void>((resolve) => beats.push(resolve));
  const pulse = new DiskPulse('', { gives, now: () => nowMs });
  for (let count = 0; count < 3; count++) {
    const felt = pulse.answers(60_000);
    nowMs += 250;
    beats.pop()?.();
    expect(await felt).toBe(true);
  }
  nowMs += 450;
  expect(pulse.isFresh).toBe(true);
  nowMs += 51;
  expect(pulse.isFresh).toBe(false);
  // One that became quick again is so after some answers.
  for (let count = 0; count < 12; count++) {
    const felt = pulse.answers(60_000);
    beats.pop()?.();
    expect(await felt).toBe(true);
  }
  nowMs += 101;
  expect(pulse.isFresh).toBe(false);
  beats.pop()?.();
});

test('of a cache on a silent disk nothing is here, whoever asks how; once it answers all is', async () => {
  using scratch = new Scratch();
  const logger = new RecordingLogger();
  const all = [1, 2, 3].map((seed) => makeBlock(Buffer.alloc(seed * 30_000, seed)));
  const keys = all.map(({ cid }) => blockKey(cid));
  const open = () => DiskCache.open(scratch.at('cache'), { limitBytes: 64 * 1024 ** 2, logger });
  let cache = await open();
  for (const { cid, bytes } of all) cache.admit(cid, bytes, 'demand');
  await cache.close();
  cache = await open();
  const path = scratch.at('cache', 'pulse');
  silence(path);
  try {
    await until('it is not asked any more', () => !keys.some((key) => cache.has(key)));
    for (const key of keys) {
      expect(await cache.get(key)).toBeUndefined();
      expect(await cache.getRange(key, 0, 10)).toBeUndefined();
      expect(cache.ends(key)).toBeUndefined();
      cache.expect(key, 0, 10);
    }
    expect(logger.said('error')).toContain('the disk cache cannot be read: what is not read is fetched');
  } finally {
    answer(path);
  }
  await until('it is asked again', () => keys.every((key) => cache.has(key)));
  for (const { cid, bytes } of all) {
    // The disk of a busy machine may be late again by itself, and then has nothing.
    let given: Uint8Array | undefined;
    await until('it gives what it has', async () => {
      given = await cache.get(blockKey(cid));
      return given !== undefined;
    });
    expect(Buffer.compare(given ?? Buffer.alloc(0), bytes)).toBe(0);
  }
  await cache.close();
});
