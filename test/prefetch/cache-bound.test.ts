/** What is brought whole, by the bound of a real disk cache: it fits, or that is said before anything is fetched. */
import { join } from 'node:path';
import type { CID } from 'multiformats/cid';
import { expect, it, vi } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type BlockKey, blockKey } from '../../src/blocks/block.ts';
import { BlockService } from '../../src/blocks/block-service.ts';
import { BlockTally } from '../../src/blocks/block-tally.ts';
import { systemClock } from '../../src/blocks/clock.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import { MountedVolume } from '../../src/fs/mounted-volume.ts';
import { fill } from '../../src/prefetch/fill.ts';
import { Plan } from '../../src/prefetch/plan.ts';
import type { PrefetchOptions } from '../../src/prefetch/prefetch-job.ts';
import { Prefetcher } from '../../src/prefetch/prefetcher.ts';
import { ProfileStore } from '../../src/prefetch/profile-store.ts';
import { UnpinList } from '../../src/prefetch/unpin-list.ts';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { FaultSource } from '../support/fault-source.ts';
import { volumeSpec } from '../support/mount-content.ts';

const KIB = 1024;
const FILE_BYTES = 100 * KIB;
const OWNER = { uid: 0, gid: 0, fileMode: 0o444, dirMode: 0o555 };
const OPTIONS: PrefetchOptions = { prefetch: 'none', pin: false, profile: undefined };

interface Daemon {
  readonly prefetcher: Prefetcher;
  readonly source: FaultSource;
  readonly blocks: BlockService;
  /** Lets so much time pass for the cache, and has it written what it has. */
  later(ms: number): Promise<void>;
}

/** Does `work` with what a daemon has, where the bound is 4 MiB. */
async function withDaemon<T>(content: BlockMap, work: (daemon: Daemon) => Promise<T>): Promise<T> {
  using scratch = new Scratch();
  const source = new FaultSource('source', systemClock, content.named());
  let nowMs = 1_000_000;
  const now = () => nowMs;
  const limits = { limitBytes: 4096 * KIB, logger: silentLogger(), now };
  const cache = await DiskCache.open(join(scratch.path, 'cache'), limits);
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
  const later = async (ms: number) => {
    nowMs += ms;
    // Writes what waits, notes of reads among it.
    await cache.evict([]);
    await vi.waitFor(() => expect(cache.waitingBytes).toBe(0), { timeout: 10_000 });
  };
  try {
    return await work({ prefetcher, source, blocks: blocks.service, later });
  } finally {
    await prefetcher.close();
    await cache.close();
  }
}

/** Calls `prefetch` for a volume of so many files; gives what it said, and what the source was asked. */
function fetchAll(files: number, options: PrefetchOptions) {
  const content = new BlockMap();
  const root = volumeOf(files, content);
  return withDaemon(content, async ({ prefetcher, source }) => {
    const said = await prefetcher.fetchAll('v', root, options, new AbortController().signal).then(
      () => 'all is here',
      (error: unknown) => codeOf(error),
    );
    return { said, asked: source.calls.length, complete: prefetcher.progress('v')?.complete };
  });
}

function filesOf(files: number, content: BlockMap, salt = ''): CID[] {
  const dag = new DagBuilder(content);
  return Array.from({ length: files }, (_, index) => dag.raw(Buffer.alloc(FILE_BYTES, `file ${salt}${index} `)));
}

function volumeOf(files: number, content: BlockMap): CID {
  const entries = filesOf(files, content).map((cid, index) => ({ name: `f${index}`, cid, tsize: FILE_BYTES }));
  return new DagBuilder(content).directory(entries);
}

const disposing = (service: BlockService) => ({ service, [Symbol.asyncDispose]: () => service.close() });

it.each([{ pin: false }, { pin: true }])('fits beside what the index takes, or is refused: %o', async ({ pin }) => {
  const options = { ...OPTIONS, pin };
  // The index and its journal take some 5 % of so small a cache.
  expect(await fetchAll(37, options)).toEqual({ said: 'all is here', asked: 38, complete: true });
  expect(await fetchAll(39, options)).toMatchObject({ said: 'STORE_FULL', complete: false });
  expect(await fetchAll(40, options)).toEqual({ said: 'STORE_FULL', asked: 1, complete: false });
});

/** 1.5 MiB that are used again and again. */
async function useOften(used: readonly CID[], written: readonly CID[], { blocks, later }: Daemon): Promise<void> {
  // What was read is noted with the next write.
  for (const next of written) {
    for (const cid of [...used, next]) await blocks.get(cid, { priority: 'demand' });
    await later(20_000);
  }
}

it('auto fetches no more than there is room for beside what others use again and again, and keeps that', async () => {
  const content = new BlockMap();
  const used = filesOf(15, content, 'used ');
  const written = filesOf(3, content, 'written ');
  // 6 MiB, of a cache of 4.
  const root = volumeOf(60, content);
  await withDaemon(content, async (daemon) => {
    await useOften(used, written, daemon);
    const { prefetcher, source, blocks, later } = daemon;
    const before = source.calls.length;
    prefetcher.mounted('v', new MountedVolume(volumeSpec(root), OWNER, 1), { ...OPTIONS, prefetch: 'auto' });
    const ended = () =>
      expect(prefetcher.progress('v')).toMatchObject({ prefetching: false, stopped: expect.anything() });
    await vi.waitFor(ended, { timeout: 10_000 });
    await later(0);
    const { bytesCached = 0, stopped } = prefetcher.progress('v') ?? {};
    expect(stopped).toMatch(
      /^auto leaves in the cache what is used again and again: (1\.[89]|2).* MiB of 5.9 MiB; prefetch=all or/,
    );
    // 23 files, or some less where several come at once: what has just come counts as on its way for a moment, too.
    expect(bytesCached).toBeGreaterThan(19 * FILE_BYTES);
    // Hardly any of what it fetched went again: it would have been fifteen files.
    expect((source.calls.length - before) * FILE_BYTES).toBeLessThan(bytesCached + 5 * FILE_BYTES);
    for (const cid of used) expect(blocks.has(cid)).toBe(true);
  });
});

it('what is wanted whole stays, and what others used again and again goes for it', async () => {
  const content = new BlockMap();
  const used = filesOf(15, content, 'used ');
  const written = filesOf(3, content, 'written ');
  const root = volumeOf(35, content);
  await withDaemon(content, async (daemon) => {
    await useOften(used, written, daemon);
    const { prefetcher, source, later } = daemon;
    const before = source.calls.length;
    await prefetcher.fetchAll('v', root, OPTIONS, new AbortController().signal);
    await later(0);
    expect(prefetcher.progress('v')).toMatchObject({ complete: true });
    expect(source.calls.length - before).toBe(36);
  });
});

it.each(['none', 'all'] as const)(
  'a scan of more than the cache holds leaves the root of what is mounted with prefetch=%s',
  async (prefetch) => {
    const content = new BlockMap();
    // 5 MiB, of a cache of 4.
    const root = volumeOf(prefetch === 'all' ? 50 : 5, content);
    const scanned = filesOf(60, content, 'scanned ');
    await withDaemon(content, async ({ prefetcher, blocks, later }) => {
      const read = (cid: CID) => blocks.get(cid, { priority: 'demand' });
      await read(root);
      await later(0);
      const options = { ...OPTIONS, prefetch };
      prefetcher.mounted('v', new MountedVolume(volumeSpec(root), OWNER, 1), options, false);
      await vi.waitFor(() => expect(prefetcher.progress('v')?.bytesCached).toBeGreaterThan(0), { timeout: 10_000 });
      for (const cid of scanned) {
        await read(cid);
        await later(1000);
      }
      expect(blocks.isKept(blockKey(scanned[0] as CID))).toBe(false);
      expect(blocks.isKept(blockKey(root))).toBe(true);
      // It was used until now.
      prefetcher.unmounted('v');
      for (const cid of scanned.slice(0, 20)) {
        await read(cid);
        await later(1000);
      }
      expect(blocks.isKept(blockKey(root))).toBe(true);
    });
  },
);

it('a fill asks for little where the disk keeps nothing of it, and ends', async () => {
  const content = new BlockMap();
  const root = volumeOf(200, content);
  const source = new FaultSource('source', systemClock, content.named(), () => ({ answer: 'block', delayMs: 20 }));
  const bytes = content.blocks.get(blockKey(root));
  const has = (key: BlockKey) => key === blockKey(root);
  const store = { name: 'store', has, get: () => bytes, getRange: () => undefined };
  const stores = { memory: new MemoryCache(64 * KIB), stores: [store], sinks: [] };
  await using blocks = disposing(new BlockService({ ...stores, sources: [source], timeoutMs: 10_000 }));
  const cache = { has: () => false, waitingBytes: 0, preferNew: () => () => {} };
  const parts = { blocks: blocks.service, cache, clock: systemClock };
  const { signal } = new AbortController();
  const options = { priority: 'background', tally: new BlockTally(), signal, fetch: true } as const;
  const { stopped, lastError } = await fill(parts, new Plan(contentKey(root)), options);
  expect([stopped, codeOf(lastError)]).toEqual(['failing', 'STORE_FULL']);
  // 200 before it gave up, had it waited for what was on its way.
  expect(source.calls.length).toBeLessThan(100);
});
