/** The disk cache against a model: whatever is done to it in whatever order, it answers right or not at all. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BlockKey, blockKey } from '../../src/blocks/block.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { makeBlock } from '../support/make-block.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const MIB = 1024 ** 2;
const SMALL = 4 * MIB;
const LARGE = 32 * MIB;

/** Of every kind: empty, in a row, on the border, in a file of one page and of several. */
const SIZES = [0, 1, 500, 16_384, 32_768, 32_769, 50_000, 262_144, MIB];
const BLOCKS = SIZES.flatMap((size, kind) =>
  Array.from({ length: 4 }, (_, index) => {
    const bytes = new Uint8Array(size).fill(kind * 4 + index + 1);
    return { ...makeBlock(bytes), index: kind * 4 + index };
  }),
).filter(({ bytes }, index) => bytes.length > 0 || index === 0);
const KEYS = BLOCKS.map(({ cid }) => blockKey(cid));

type Step = (cache: Run) => Promise<void> | void;

interface Run {
  cache: DiskCache;
  readonly pinned: Set<BlockKey>;
  readonly evicted: Set<BlockKey>;
  reopen(limitBytes: number): Promise<void>;
}

const which = fc.nat(BLOCKS.length - 1);
const several = fc.uniqueArray(which, { maxLength: 6 });

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(several, fc.boolean()).map(
      ([some, demanded]): Step =>
        ({ cache, evicted }) => {
          for (const index of some) {
            const { cid, bytes } = BLOCKS[index] as (typeof BLOCKS)[number];
            evicted.delete(blockKey(cid));
            cache.admit(cid, bytes, demanded ? 'demand' : 'background');
            // From the moment it is admitted.
            if (bytes.length < 100_000)
              expect(cache.has(blockKey(cid)) || cache.statistics().limitBytes === SMALL).toBe(true);
          }
        },
    ),
  },
  {
    weight: 6,
    arbitrary: which.map(
      (index): Step =>
        async ({ cache }) => {
          const { cid, bytes } = BLOCKS[index] as (typeof BLOCKS)[number];
          const found = await cache.get(blockKey(cid));
          if (found) expect(Buffer.compare(found, bytes)).toBe(0);
        },
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(which, fc.nat(MIB), fc.nat(MIB)).map(
      ([index, a, b]): Step =>
        async ({ cache }) => {
          const { cid, bytes } = BLOCKS[index] as (typeof BLOCKS)[number];
          const [from, to] = [Math.min(a, b) % (bytes.length + 1), Math.max(a, b) % (bytes.length + 2)].sort(
            (x, y) => x - y,
          ) as [number, number];
          const found = await cache.getRange(blockKey(cid), from, to);
          if (to > bytes.length) expect(found).toBeUndefined();
          else if (found) expect(Buffer.compare(found, bytes.subarray(from, to))).toBe(0);
        },
    ),
  },
  {
    weight: 2,
    arbitrary: several.map(
      (some): Step =>
        async ({ cache, evicted, pinned }) => {
          const keys = some.map((index) => KEYS[index] as BlockKey);
          expect(await cache.evict(keys)).toBeGreaterThanOrEqual(0);
          for (const key of keys) if (!pinned.has(key)) evicted.add(key);
        },
    ),
  },
  {
    weight: 1,
    arbitrary: several.map(
      (some): Step =>
        ({ cache, pinned }) => {
          const keys = some.map((index) => KEYS[index] as BlockKey);
          cache.pin(keys);
          for (const key of keys) pinned.add(key);
        },
    ),
  },
  {
    weight: 1,
    arbitrary: several.map(
      (some): Step =>
        ({ cache, pinned }) => {
          const keys = some.map((index) => KEYS[index] as BlockKey);
          cache.unpin(keys);
          for (const key of keys) pinned.delete(key);
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(SMALL, LARGE).map(
      (limitBytes): Step =>
        (run) =>
          run.reopen(limitBytes),
    ),
  },
  { weight: 4, arbitrary: fc.constant<Step>(() => new Promise((resolve) => setImmediate(resolve))) },
);

function sizeOnDisk(directory: string): number {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const found = statSync(join(directory, name), { throwIfNoEntry: false });
    return sum + (found?.isFile() ? found.blocks * 512 : 0);
  }, 0);
}

test('any sequence of admissions, reads, evictions, pins and restarts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      using scratch = new Scratch();
      const logger = new RecordingLogger();
      let limit = LARGE;
      const open = () => DiskCache.open(scratch.path, { limitBytes: limit, logger });
      const run: Run = {
        cache: await open(),
        pinned: new Set(),
        evicted: new Set(),
        async reopen(limitBytes) {
          const before = run.cache.statistics();
          await run.cache.close();
          const roomy = limit === LARGE && limitBytes === LARGE;
          limit = limitBytes;
          run.cache = await open();
          // Nothing is lost by a restart where all fits.
          if (roomy) expect(run.cache.statistics().blocks).toBeGreaterThanOrEqual(before.blocks);
          // What no reader and no source brought back is not there.
          for (const key of run.evicted) expect(run.cache.has(key)).toBe(false);
        },
      };
      for (const each of steps) await each(run);
      await run.reopen(limit);
      let [blocks, bytes] = [0, 0];
      for (const [index, block] of BLOCKS.entries()) {
        const found = await run.cache.get(KEYS[index] as BlockKey);
        if (!found) continue;
        expect(Buffer.compare(found, block.bytes)).toBe(0);
        blocks++;
        bytes += found.length;
      }
      expect(run.cache.statistics()).toMatchObject({ blocks, bytes });
      await run.cache.close();
      expect(sizeOnDisk(scratch.path)).toBeLessThanOrEqual(limit + (run.pinned.size > 0 ? LARGE : 0));
      expect(logger.said('error')).toEqual([]);
    }),
    { numRuns: 40 },
  );
});
