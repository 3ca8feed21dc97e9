/**
 * A process to be killed: imports into the local store of a directory without end, or admits to its cache, and says each
 * time that some more came.
 *
 *   node keep-importing.ts store|cache DIRECTORY [FIRST]
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { silentLogger } from '../../../src/base/log.ts';
import { DiskCache } from '../../../src/cache/disk-cache.ts';
import { LocalStore } from '../../../src/sources/local-store.ts';
import { carHeader, carSection } from '../../support/make-car.ts';
import { numbered } from './numbered.ts';

const [kind, directory, first = '0'] = process.argv.slice(2);
if (kind === 'store') {
  const store = await LocalStore.open(directory as string, { logger: silentLogger() });
  await store.importCar(endless(), { root: 'header' });
} else if (kind === 'cache') {
  const cache = await DiskCache.open(directory as string, { limitBytes: 24 * 1024 ** 2, logger: silentLogger() });
  for (let index = Number(first); ; index++) {
    const { cid, bytes } = numbered(index);
    cache.admit(cid, bytes, 'background');
    if (index % 100 === 99) {
      process.stdout.write(`${index}\n`);
      const before = cache.statistics().blocks + cache.statistics().evictions;
      while (cache.statistics().blocks + cache.statistics().evictions < before + 50) await nextTurn();
    }
  }
}

async function* endless(): AsyncGenerator<Uint8Array> {
  yield carHeader([numbered(0).cid]);
  for (let index = 0; ; index++) {
    yield carSection(numbered(index));
    if (index % 100 === 99) process.stdout.write(`${index}\n`);
  }
}
