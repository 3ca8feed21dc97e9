/** Store and cache after `kill -9` of their process in the middle of writing, and after what a power cut does to the last writes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { blockKey } from '../../src/blocks/block.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { LocalStore } from '../../src/sources/local-store.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { carV1, inPieces } from '../support/make-car.ts';
import { numbered } from './support/numbered.ts';

const PROGRAM = fileURLToPath(new URL('support/keep-importing.ts', import.meta.url));
const LIMIT_BYTES = 24 * 1024 ** 2;

/** Runs until some `count` blocks were written, then kills; gives the highest number that it said. */
async function killAfter(kind: 'store' | 'cache', directory: string, count: number, first = 0): Promise<number> {
  const child = spawn(process.execPath, [PROGRAM, kind, directory, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let last = 0;
  for await (const text of child.stdout) {
    last = Number(String(text).trim().split('\n').at(-1));
    if (last - first >= count) child.kill('SIGKILL');
  }
  expect(await closed).toEqual([null, 'SIGKILL']);
  return last;
}

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile() && path.includes('/files/'));
}

test.each([100, 2500, 5200])(
  'kill -9 in the middle of an import leaves the store as it was (%i blocks)',
  async (count) => {
    using scratch = new Scratch();
    const open = () => LocalStore.open(scratch.path, { logger: silentLogger() });
    // Blocks that the import to be killed brings as well, and one that it does not.
    const kept = [numbered(3), numbered(4), numbered(7), numbered(1_000_000)];
    let store = await open();
    const [root] = kept.map(({ cid }) => cid);
    if (root) await store.importCar(inPieces(carV1([root], kept)), { root: 'header' });
    const before = { ...store.statistics(), roots: store.roots() };
    await store.close();
    await killAfter('store', scratch.path, count);
    store = await open();
    expect({ ...store.statistics(), roots: store.roots() }).toEqual(before);
    for (const { cid, bytes } of kept)
      expect(Buffer.compare((await store.get(blockKey(cid))) ?? Buffer.alloc(0), bytes)).toBe(0);
    expect(filesIn(scratch.path)).toHaveLength(2);
    await store.close();
    const space = readdirSync(scratch.path).reduce((sum, name) => sum + statSync(join(scratch.path, name)).size, 0);
    // The database gave its pages back; the ballast is 16 MiB.
    expect(space).toBeLessThan(18 * 1024 ** 2);
  },
);

test.each([100, 800])(
  'kill -9 in the middle of caching: what is there is right, and the bound holds (%i blocks)',
  async (count) => {
    using scratch = new Scratch();
    const last = await killAfter('cache', scratch.path, count);
    const cache = await DiskCache.open(scratch.path, { limitBytes: LIMIT_BYTES, logger: silentLogger() });
    const found = await rightBlocks(cache, last);
    expect(found).toBeGreaterThan(20);
    expect(cache.statistics().blocks).toBeGreaterThanOrEqual(found);
    // Files of a turn that was not committed are swept: there is one for each large block, and no more.
    await cache.close();
    const files = filesIn(scratch.path).reduce((sum, path) => sum + statSync(path).size, 0);
    expect(files).toBeLessThanOrEqual(LIMIT_BYTES);
  },
);

test('again and again on the same cache', async () => {
  using scratch = new Scratch();
  for (let round = 1; round <= 5; round++) {
    const first = round * 10_000;
    const last = await killAfter('cache', scratch.path, 100 + round * 90, first);
    const cache = await DiskCache.open(scratch.path, { limitBytes: LIMIT_BYTES, logger: silentLogger() });
    expect(await rightBlocks(cache, last, first)).toBeGreaterThan(20);
    await cache.close();
  }
});

test.each<[string, (directory: string) => void]>([
  ['its journal cut short', (directory) => halve(join(directory, 'blocks.db-wal'))],
  ['its journal of zeroes at the end', (directory) => zeroEnd(join(directory, 'blocks.db-wal'))],
  ['its journal lost', (directory) => rmSync(join(directory, 'blocks.db-wal'))],
  ['every tenth file empty', (directory) => each(directory, (path) => truncateSync(path))],
  ['every tenth file torn', (directory) => each(directory, halve)],
  ['every tenth file lost', (directory) => each(directory, (path) => rmSync(path))],
])('a power cut that leaves a cache with %s', async (_name, spoil) => {
  using scratch = new Scratch();
  const last = await killAfter('cache', scratch.path, 300);
  spoil(scratch.path);
  let cache = await DiskCache.open(scratch.path, { limitBytes: LIMIT_BYTES, logger: silentLogger() });
  await rightBlocks(cache, last);
  const again = Array.from({ length: 50 }, (_, index) => numbered(index));
  for (const { cid, bytes } of again) cache.admit(cid, bytes, 'demand');
  await cache.close();
  cache = await DiskCache.open(scratch.path, { limitBytes: LIMIT_BYTES, logger: silentLogger() });
  expect(await rightBlocks(cache, 49)).toBe(50);
  await cache.close();
});

function each(directory: string, spoil: (path: string) => void): void {
  for (const [index, path] of filesIn(directory).entries()) if (index % 10 === 0) spoil(path);
}

/** How many of the blocks up to `last` are there; throws where one of them is wrong. */
async function rightBlocks(cache: DiskCache, last: number, first = 0): Promise<number> {
  let found = 0;
  for (let index = first; index <= last; index++) {
    const { cid, bytes } = numbered(index);
    const got = await cache.get(blockKey(cid));
    if (!got) continue;
    expect(Buffer.compare(got, bytes)).toBe(0);
    found++;
  }
  return found;
}

function halve(path: string): void {
  truncateSync(path, Math.floor(statSync(path).size / 2));
}

function zeroEnd(path: string): void {
  const { size } = statSync(path);
  truncateSync(path, Math.floor(size / 2));
  writeFileSync(path, Buffer.alloc(size - Math.floor(size / 2)), { flag: 'a' });
}
