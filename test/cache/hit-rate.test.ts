/**
 * The hit rate of a recorded start against plain LRU of the same size: a program (node, loading a web server and an IPFS
 * client) is started again and again, and between two starts something else reads a tree once, several times the cache.
 *
 * The trace holds the sizes of the files that the program opened, in order (strace of openat).
 */
import { readFileSync } from 'node:fs';
import { LRUCache } from 'lru-cache';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { type Block, blockKey } from '../../src/blocks/block.ts';
import { spaceOf } from '../../src/blocks/disk/disk-total.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { makeBlock } from '../support/make-block.ts';

const TRACE = readFileSync(new URL('../corpus/trace/node-start', import.meta.url), 'utf8')
  .trim()
  .split(' ')
  .map(Number);
const LIMIT_BYTES = 16 * 1024 ** 2;
const STARTS = 4;
/** Three times the cache, in blocks of a quarter of a mebibyte. */
const SCANNED_BLOCKS = 192;
const LATER_MS = 60_000;

const numbered = (index: number, size: number): Block => {
  const bytes = new Uint8Array(Math.max(8, size)).fill(index % 251);
  new DataView(bytes.buffer).setUint32(0, index);
  return makeBlock(bytes);
};

test('a start that was seen twice is served from the cache whatever is scanned in between; by LRU it never is', async () => {
  using scratch = new Scratch();
  const program = TRACE.map((size, index) => numbered(index, size));
  let nowMs = 1_000_000;
  const open = () =>
    DiskCache.open(scratch.path, { limitBytes: LIMIT_BYTES, logger: silentLogger(), now: () => nowMs });
  let cache = await open();
  const lru = new LRUCache<string, true>({ maxSize: LIMIT_BYTES });
  /** Hits of both. */
  const read = async (blocks: readonly Block[]) => {
    const hits = { ours: 0, lru: 0 };
    for (const { cid, bytes } of blocks) {
      if (await cache.get(blockKey(cid))) hits.ours++;
      else cache.admit(cid, bytes, 'demand');
      if (lru.get(blockKey(cid))) hits.lru++;
      else lru.set(blockKey(cid), true, { size: spaceOf(bytes.length) });
    }
    await cache.close();
    cache = await open();
    nowMs += LATER_MS;
    return hits;
  };
  await read(program);
  // Between the first two starts there is room for it, as there is after a start that failed, or a restart.
  await read(program);
  const total = { ours: 0, lru: 0 };
  for (let start = 0; start < STARTS; start++) {
    for (let first = 0; first < SCANNED_BLOCKS; first += 16) {
      const scan = Array.from({ length: 16 }, (_, index) => numbered(1e6 + start * 1000 + first + index, 256 * 1024));
      await read(scan);
    }
    const hits = await read(program);
    total.ours += hits.ours;
    total.lru += hits.lru;
  }
  await cache.close();
  const share = (hits: number) => hits / (STARTS * program.length);
  expect(share(total.lru)).toBeLessThan(0.02);
  expect(share(total.ours)).toBeGreaterThan(0.98);
});
