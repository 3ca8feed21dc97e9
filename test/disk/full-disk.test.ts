/** What store, cache and state file do on a disk that is full or read-only: say so, lose nothing, and work again afterwards. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { blockKey } from '../../src/blocks/block.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { LocalStore } from '../../src/sources/local-store.ts';
import { StateFile } from '../../src/volumes/state-file.ts';
import { until } from '../support/daemon.ts';
import { describeWith } from '../support/machine.ts';
import { carHeader, carSection, carV1, inPieces } from '../support/make-car.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { numbered } from './support/numbered.ts';
import { SmallDisk } from './support/small-disk.ts';

const MIB = 1024 ** 2;

async function* car(first: number, count: number, step: number): AsyncGenerator<Uint8Array> {
  yield carHeader([numbered(first).cid]);
  for (let index = 0; index < count; index++) yield carSection(numbered(first + index * step));
}

describeWith(['root'], 'a full disk', () => {
  test.each([
    ['large blocks', 4, 300],
    ['small blocks', 0, 100_000],
    ['blocks of all kinds', 2, 3000],
  ])(
    'an import of %s that does not fit leaves nothing, says so, and the next one works',
    async (_name, first, count) => {
      await using disk = await SmallDisk.make(48 * MIB);
      let store = await LocalStore.open(disk.at('store'), { logger: silentLogger() });
      const kept = numbered(1_000_003);
      await store.importCar(inPieces(carV1([kept.cid], [kept])), { root: 'header' });
      const before = disk.freeBytes;
      for (let attempt = 0; attempt < 3; attempt++) {
        const failed = store.importCar(car(first, count, 5), { root: 'header' });
        await expect(failed).rejects.toMatchObject({ code: 'STORE_FULL' });
        await expect(failed).rejects.toThrow(
          /^no space left for the local store in .*; nothing of this import is kept$/,
        );
        expect(store.statistics()).toMatchObject({ roots: 1, blocks: 1 });
      }
      // Some megabytes of a database that is emptied may stay its own.
      expect(disk.freeBytes).toBeGreaterThan(before - 5 * MIB);
      const { roots } = await store.importCar(car(2_000_001, 10, 1), { root: 'header' });
      expect(roots).toHaveLength(1);
      await store.close();
      store = await LocalStore.open(disk.at('store'), { logger: silentLogger() });
      expect(store.statistics()).toMatchObject({ roots: 2, blocks: 11 });
      expect(Buffer.compare((await store.get(blockKey(kept.cid))) ?? Buffer.alloc(0), kept.bytes)).toBe(0);
      await store.close();
    },
  );

  test('a store on a disk that others filled opens, reads, refuses imports, and rm and gc make room again', async () => {
    await using disk = await SmallDisk.make(48 * MIB);
    let store = await LocalStore.open(disk.at('store'), { logger: silentLogger() });
    const { roots } = await store.importCar(car(1, 60, 1), { root: 'header' });
    await store.importCar(car(1000, 5, 1), { root: 'header' });
    await store.close();
    disk.fill();
    store = await LocalStore.open(disk.at('store'), { logger: silentLogger() });
    for (let index = 1; index <= 60; index++) expect(await store.get(blockKey(numbered(index).cid))).toBeDefined();
    await expect(store.importCar(car(500, 5, 1), { root: 'header' })).rejects.toMatchObject({ code: 'STORE_FULL' });
    const kept = store.roots().find(({ cid }) => cid === roots[0]);
    expect(kept).toBeDefined();
    await store.remove(numbered(1).cid);
    const { removedBlocks } = await store.gc();
    // One root is a raw block, and all that came with it goes, too.
    expect(removedBlocks).toBe(64);
    expect(disk.freeBytes).toBeGreaterThan(2 * MIB);
    await store.close();
  });

  test('the cache goes on without caching, says it once, and caches again when there is room', async () => {
    await using disk = await SmallDisk.make(16 * MIB);
    const logger = new RecordingLogger();
    const cache = await DiskCache.open(disk.at('cache'), { limitBytes: 1024 * MIB, logger });
    const admit = (from: number, to: number) => {
      for (let index = from; index < to; index++) cache.admit(numbered(index).cid, numbered(index).bytes, 'demand');
    };
    admit(0, 50);
    await until('some are cached', () => cache.statistics().blocks === 50);
    let from = 50;
    await until('it is full', () => {
      admit(from, from + 50);
      from += 50;
      return logger.said('error').length > 0;
    });
    expect(logger.said('error')).toEqual([
      'the disk cache cannot be written: going on without it, and trying again every 30 s',
    ]);
    // What was cached is read all the while.
    for (let index = 0; index < 50; index++) {
      const { cid, bytes } = numbered(index);
      expect(Buffer.compare((await cache.get(blockKey(cid))) ?? Buffer.alloc(0), bytes)).toBe(0);
    }
    await cache.close();
    const again = await DiskCache.open(disk.at('cache'), { limitBytes: 8 * MIB, logger });
    expect(again.statistics().bytes).toBeLessThan(8 * MIB);
    await again.close();
  });

  test('a cache that is opened on a full disk', async () => {
    await using disk = await SmallDisk.make(8 * MIB);
    disk.fill();
    const logger = new RecordingLogger();
    const cache = await DiskCache.open(disk.at('cache'), { limitBytes: 1024 * MIB, logger });
    cache.admit(numbered(1).cid, numbered(1).bytes, 'demand');
    expect(cache.statistics().blocks).toBe(0);
    expect(logger.said('error')).toHaveLength(1);
    disk.giveBack();
    await cache.close();
  });

  test('the state file: the old state stands, and the next save works', async () => {
    await using disk = await SmallDisk.make(4 * MIB);
    const state = new StateFile(disk.at('state'), silentLogger());
    const volume = (name: string) => ({
      name,
      options: { cid: numbered(1).cid.toString() },
      createdAt: '2026-01-02T03:04:05Z',
      resolved: null,
      mounts: {},
    });
    await state.save({ connection: 'one', volumes: [volume('a')], calls: [] });
    disk.fill();
    const many = Array.from({ length: 20_000 }, (_, index) => volume(`volume number ${index}`));
    await expect(state.save({ connection: 'two', volumes: many, calls: [] })).rejects.toMatchObject({
      code: 'STORE_FULL',
    });
    expect(state.load()).toMatchObject({ connection: 'one', volumes: [{ name: 'a' }] });
    disk.giveBack();
    await state.save({ connection: 'two', volumes: many.slice(0, 10), calls: [] });
    expect(state.load().volumes).toHaveLength(10);
    expect(readFileSync(disk.at('state', 'volumes.json'), 'utf8')).not.toContain('volume number 11');
  });
});

describeWith(['root'], 'a read-only disk', () => {
  test('the store says what is wrong; writable again, nothing is lost', async () => {
    await using disk = await SmallDisk.make(32 * MIB);
    const store = await LocalStore.open(disk.at('store'), { logger: silentLogger() });
    await store.importCar(car(1, 20, 1), { root: 'header' });
    await store.close();
    await disk.setReadOnly(true);
    const refused = LocalStore.open(disk.at('store'), { logger: silentLogger() });
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(refused).rejects.toThrow(/^the local store in .* cannot be opened$/);
    await disk.setReadOnly(false);
    const again = await LocalStore.open(disk.at('store'), { logger: silentLogger() });
    expect(again.statistics()).toMatchObject({ roots: 1, blocks: 20 });
    await again.close();
  });

  test('the cache is done without, said once', async () => {
    await using disk = await SmallDisk.make(16 * MIB);
    await disk.setReadOnly(true);
    const logger = new RecordingLogger();
    const cache = await DiskCache.open(disk.at('cache'), { limitBytes: 8 * MIB, logger });
    for (let index = 0; index < 20; index++) cache.admit(numbered(index).cid, numbered(index).bytes, 'demand');
    expect(await cache.get(blockKey(numbered(100).cid))).toBeUndefined();
    await cache.close();
    expect(logger.said('error')).toHaveLength(1);
  });
});
