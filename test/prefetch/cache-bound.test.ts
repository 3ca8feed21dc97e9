/** What is brought whole, by the bound of a real disk cache: it fits, or that is said before anything is fetched. */
import { join } from 'node:path';
import type { CID } from 'multiformats/cid';
import { expect, it } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { BlockService } from '../../src/blocks/block-service.ts';
import { systemClock } from '../../src/blocks/clock.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import type { PrefetchOptions } from '../../src/prefetch/prefetch-job.ts';
import { Prefetcher } from '../../src/prefetch/prefetcher.ts';
import { ProfileStore } from '../../src/prefetch/profile-store.ts';
import { UnpinList } from '../../src/prefetch/unpin-list.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { FaultSource } from '../support/fault-source.ts';

const KIB = 1024;
const FILE_BYTES = 100 * KIB;
const OPTIONS: PrefetchOptions = { prefetch: 'none', pin: false, profile: undefined };

/** Calls `prefetch` for a volume of so many files where the bound is 4 MiB; gives what it said, and what the source was asked. */
async function fetchAll(files: number, options: PrefetchOptions) {
  using scratch = new Scratch();
  const content = new BlockMap();
  const root = volumeOf(files, content);
  const source = new FaultSource('source', systemClock, content.named());
  const cache = await DiskCache.open(join(scratch.path, 'cache'), { limitBytes: 4096 * KIB, logger: silentLogger() });
  const memory = new MemoryCache(64 * KIB);
  const stores = { memory, stores: [cache], sinks: [cache] };
  await using blocks = disposing(new BlockService({ ...stores, sources: [source], timeoutMs: 10_000 }));
  const prefetcher = new Prefetcher({
    unixfs: new UnixfsReader(blocks.service),
    cache,
    profiles: new ProfileStore(scratch.at('profiles'), silentLogger()),
    unpinList: new UnpinList(scratch.at('unpinning'), silentLogger()),
    logger: silentLogger(),
  });
  cache.onGone = (key, sizeBytes) => prefetcher.gone(key, sizeBytes, false);
  const said = await prefetcher.fetchAll('v', root, options, new AbortController().signal).then(
    () => 'all is here',
    (error: unknown) => codeOf(error),
  );
  await prefetcher.close();
  await cache.close();
  return { said, asked: source.calls.length, complete: prefetcher.progress('v')?.complete };
}

function volumeOf(files: number, content: BlockMap): CID {
  const dag = new DagBuilder(content);
  const entries = Array.from({ length: files }, (_, index) => {
    const cid = dag.raw(Buffer.alloc(FILE_BYTES, `file ${index} `));
    return { name: `f${index}`, cid, tsize: FILE_BYTES };
  });
  return dag.directory(entries);
}

const disposing = (service: BlockService) => ({ service, [Symbol.asyncDispose]: () => service.close() });

it.each([{ pin: false }, { pin: true }])('fits beside what the index takes, or is refused: %o', async ({ pin }) => {
  const options = { ...OPTIONS, pin };
  // The index and its journal take some 5 % of so small a cache.
  expect(await fetchAll(37, options)).toEqual({ said: 'all is here', asked: 38, complete: true });
  expect(await fetchAll(39, options)).toMatchObject({ said: 'STORE_FULL', complete: false });
  expect(await fetchAll(40, options)).toEqual({ said: 'STORE_FULL', asked: 1, complete: false });
});
