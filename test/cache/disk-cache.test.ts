/** The disk cache: bounded, there again after a restart, wrong about nothing, and out of the readers' way when its disk fails. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Block, type BlockKey, blockKey } from '../../src/blocks/block.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { makeBlock } from '../support/make-block.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const MIB = 1024 ** 2;
/** Longer than what counts as one use. */
const LATER_MS = 60_000;

let scratch: Scratch;
let logger: RecordingLogger;
let cache: DiskCache;
let nowMs: number;

beforeEach(async () => {
  scratch = new Scratch();
  logger = new RecordingLogger();
  nowMs = 1_000_000;
});

afterEach(async () => {
  await cache.close();
  scratch[Symbol.dispose]();
});

async function open(limitBytes: number): Promise<void> {
  cache = await DiskCache.open(scratch.at('cache'), { limitBytes, logger, now: () => nowMs });
}

/** All that waits is on the disk when it resolves. */
async function reopen(limitBytes: number): Promise<void> {
  await cache.close();
  await open(limitBytes);
}

function block(seed: number, sizeBytes: number): Block {
  const bytes = Buffer.alloc(sizeBytes);
  let state = seed * 2654435761 + 12345;
  for (let at = 0; at < sizeBytes; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(state, Math.min(at, Math.max(0, sizeBytes - 4)));
  }
  return makeBlock(new Uint8Array(bytes));
}

const blocks = (count: number, sizeBytes: number, first = 0): Block[] =>
  Array.from({ length: count }, (_, index) => block(first + index, sizeBytes));

function admit(all: readonly Block[], priority: 'demand' | 'background' = 'background'): void {
  for (const { cid, bytes } of all) cache.admit(cid, bytes, priority);
}

async function settled(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; !condition(); ) {
    if (Date.now() > deadline) throw new Error('it did not come about');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** True where it is there and right; false where it is absent; throws where it is wrong. */
async function isHere({ cid, bytes }: Block): Promise<boolean> {
  const found = await cache.get(blockKey(cid));
  if (found === undefined) return false;
  expect(Buffer.compare(found, bytes)).toBe(0);
  return true;
}

async function countHere(all: readonly Block[]): Promise<number> {
  let count = 0;
  for (const each of all) if (await isHere(each)) count++;
  return count;
}

/** What the cache takes on the disk, in bytes. */
function usage(): number {
  const names = readdirSync(scratch.at('cache'), { recursive: true, encoding: 'utf8' });
  return names.reduce((sum, name) => {
    const found = statSync(join(scratch.at('cache'), name), { throwIfNoEntry: false });
    return sum + (found?.isFile() ? found.blocks * 512 : 0);
  }, 0);
}

function filesOfBlocks(): string[] {
  return readdirSync(scratch.at('cache', 'files'), { recursive: true, encoding: 'utf8' })
    .map((name) => scratch.at('cache', 'files', name))
    .filter((path) => statSync(path).isFile());
}

test('a block is readable from the moment it is admitted, in ranges too, and after a restart', async () => {
  await open(64 * MIB);
  const all = [
    block(1, 0),
    block(2, 100),
    block(3, 32 * 1024),
    block(4, 32 * 1024 + 1),
    block(5, MIB),
    block(6, 2 * MIB),
  ];
  admit(all);
  const check = async () => {
    expect(await countHere(all)).toBe(all.length);
    for (const { cid, bytes } of all) {
      const [from, to] = [Math.floor(bytes.length / 3), bytes.length];
      const range = await cache.getRange(blockKey(cid), from, to);
      expect(Buffer.compare(range ?? Buffer.from('absent'), bytes.subarray(from, to))).toBe(0);
      expect(await cache.getRange(blockKey(cid), 0, to + 1)).toBeUndefined();
    }
  };
  await check();
  await reopen(64 * MIB);
  await check();
  expect(logger.said('error')).toEqual([]);
});

test('blocks that come while others are written are written next, without another wait for a burst', async () => {
  await open(256 * MIB);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    admit(blocks(8, MIB));
    vi.advanceTimersByTime(100);
    admit(blocks(16, MIB, 8));
    // No time passes: what is left in the end is less than one turn writes.
    await settled(() => {
      vi.advanceTimersByTime(0);
      return cache.waitingBytes < 4 * MIB;
    });
  } finally {
    vi.useRealTimers();
  }
});

describe('the bound', () => {
  test.each([
    ['large blocks', 300, 256 * 1024],
    ['blocks just too large for a row', 1500, 33 * 1024],
    ['small blocks', 20_000, 2000],
    ['tiny blocks', 60_000, 80],
  ])('holds at every moment: %s', async (_name, count, sizeBytes) => {
    const limitBytes = 16 * MIB;
    await open(limitBytes);
    let most = 0;
    for (let first = 0; first < count; first += Math.ceil(count / 40)) {
      admit(blocks(Math.ceil(count / 40), sizeBytes, first));
      await settled(() => {
        most = Math.max(most, usage());
        return cache.statistics().evictions > 0 || first < count / 2 || sizeBytes < 100;
      });
    }
    await reopen(limitBytes);
    most = Math.max(most, usage());
    // Small caches have their journal on top of it: it is at most as large as what is written in one turn.
    expect(most).toBeLessThanOrEqual(limitBytes + 12 * MIB);
    const { blocks: kept, bytes } = cache.statistics();
    expect(kept).toBeGreaterThan(0);
    // And it is used: small blocks cost several times their size, with room for a turn’s worth more.
    expect(bytes).toBeGreaterThan(limitBytes * (sizeBytes < 10_000 ? 0.08 : 0.6));
  });

  test('space of small blocks becomes space of large ones', async () => {
    await open(16 * MIB);
    admit(blocks(1500, 10_000));
    await reopen(16 * MIB);
    for (let first = 0; first < 64; first += 8) {
      admit(blocks(8, 512 * 1024, 10_000 + first));
      await reopen(16 * MIB);
      expect(usage()).toBeLessThanOrEqual(24 * MIB);
    }
    expect(cache.statistics().blocks).toBeLessThan(100);
  });

  test('a smaller bound takes effect at the next start', async () => {
    await open(64 * MIB);
    admit(blocks(40, MIB));
    await reopen(64 * MIB);
    await reopen(8 * MIB);
    await reopen(8 * MIB);
    expect(usage()).toBeLessThanOrEqual(8 * MIB);
    expect(await countHere(blocks(40, MIB))).toBeGreaterThan(3);
  });

  test('a block larger than the bound is not kept', async () => {
    await open(MIB);
    admit([block(1, MIB)]);
    expect(await isHere(block(1, MIB))).toBe(false);
  });
});

describe('eviction', () => {
  const LIMIT = 16 * MIB;
  const hot = blocks(16, 256 * 1024, 50_000);

  /** What readers do: from the cache, or fetched and admitted. */
  async function read(all: readonly Block[]): Promise<void> {
    for (const each of all) if (!(await isHere(each))) admit([each], 'demand');
    await reopen(LIMIT);
  }

  test('a scan does not flush what was used at two times', async () => {
    await open(LIMIT);
    await read(hot);
    nowMs += LATER_MS;
    await read(hot);
    for (let first = 0; first < 400; first += 20) await read(blocks(20, 256 * 1024, first));
    expect(await countHere(hot)).toBe(hot.length);
  });

  test('a scan does not flush what memory answered at two times, though the disk was not asked for it', async () => {
    await open(LIMIT);
    await read(hot);
    for (let time = 0; time < 2; time++) {
      for (const { cid } of hot) cache.used(blockKey(cid));
      nowMs += LATER_MS;
    }
    const { hits, misses } = cache.statistics();
    expect([hits, misses]).toEqual([0, 0]);
    for (let first = 0; first < 400; first += 20) await read(blocks(20, 256 * 1024, first));
    expect(await countHere(hot)).toBe(hot.length);
  });

  test('a scan that reads each block in pieces, and once more at once, is still a scan', async () => {
    await open(LIMIT);
    await read(hot);
    nowMs += LATER_MS;
    await read(hot);
    for (let first = 0; first < 400; first += 20) {
      const scan = blocks(20, 256 * 1024, first);
      await read(scan);
      for (const { cid } of [...scan, ...scan])
        for (let at = 0; at < 2; at++) await cache.getRange(blockKey(cid), at, at + 1);
      nowMs += 100;
    }
    expect(await countHere(hot)).toBe(hot.length);
  });

  test('each block that goes, or was offered and is not kept, is told of, once', async () => {
    await open(LIMIT);
    const gone = new Map<string, number>();
    const listen = () => {
      cache.onGone = (key, sizeBytes) => {
        expect(gone.has(key)).toBe(false);
        gone.set(key, sizeBytes);
      };
    };
    const all = blocks(120, 256 * 1024, 80_000);
    for (let first = 0; first < all.length; first += 20) {
      listen();
      admit(all.slice(first, first + 20), 'demand');
      await reopen(LIMIT);
    }
    // More than waits to be written.
    listen();
    const burst = blocks(300, 256 * 1024, 90_000);
    admit(burst, 'demand');
    await new Promise((resolve) => setImmediate(resolve));
    expect(gone.size).toBeGreaterThan(50 + 300 - 256);
    await reopen(LIMIT);
    for (const { cid, bytes } of [...all, ...burst])
      expect(gone.get(blockKey(cid))).toBe(cache.has(blockKey(cid)) ? undefined : bytes.length);
  });

  test('what is evicted on demand is told of, but for what is pinned', async () => {
    await open(LIMIT);
    const some = blocks(3, 20_000);
    admit(some);
    await reopen(LIMIT);
    const keys = some.map(({ cid }) => blockKey(cid));
    const gone: [string, number][] = [];
    cache.onGone = (key, sizeBytes) => gone.push([key, sizeBytes]);
    cache.pin(keys.slice(0, 1));
    await cache.evict([...keys, blockKey(block(99, 10).cid)]);
    expect(gone).toEqual(keys.slice(1).map((key) => [key, 20_000]));
  });

  test('what a reader is using is the last of its kind to go', async () => {
    await open(LIMIT);
    const reading = blocks(4, 256 * 1024, 60_000);
    await read(reading);
    for (let first = 0; first < 200; first += 20) {
      await read(blocks(20, 256 * 1024, first));
      expect(await countHere(reading)).toBe(reading.length);
      nowMs += 1000;
    }
  });

  test('a new working set replaces the old one', async () => {
    await open(LIMIT);
    const old = blocks(48, 256 * 1024, 1000);
    const fresh = blocks(48, 256 * 1024, 2000);
    for (const set of [old, old, fresh, fresh, fresh, fresh]) {
      await read(set);
      nowMs += LATER_MS;
    }
    expect(await countHere(fresh)).toBeGreaterThan(40);
  });

  test('pinned blocks stay, and where they fill the cache nothing more is kept, which is said', async () => {
    await open(LIMIT);
    admit(hot);
    await reopen(LIMIT);
    cache.pin(hot.map(({ cid }) => blockKey(cid)));
    for (let first = 0; first < 100; first += 20) await read(blocks(20, 256 * 1024, first));
    expect(await countHere(hot)).toBe(hot.length);
    const filling = blocks(60, 256 * 1024, 70_000);
    cache.pin(filling.map(({ cid }) => blockKey(cid)));
    admit(filling);
    await reopen(LIMIT);
    admit(blocks(20, 256 * 1024, 90_000));
    await reopen(LIMIT);
    expect(usage()).toBeLessThanOrEqual(LIMIT);
    expect(await countHere(hot)).toBe(hot.length);
    expect(logger.said('warn')).toContain('the disk cache is full of pinned blocks: nothing else is cached');
    admit(blocks(20, 256 * 1024, 90_000));
    await settled(() => cache.isFull);
    await cache.unpin([...hot, ...filling].map(({ cid }) => blockKey(cid)));
    admit(blocks(20, 256 * 1024, 90_000));
    await reopen(LIMIT);
    expect(await countHere(blocks(20, 256 * 1024, 90_000))).toBe(20);
  });

  test('what comes while the disk is asked for it is found', async () => {
    await open(LIMIT);
    const [first, second] = blocks(2, 20_000) as [Block, Block];
    const [key, other] = [first, second].map(({ cid }) => blockKey(cid)) as [BlockKey, BlockKey];
    // The disk's pulse is felt first.
    const asked = [cache.get(key), cache.getRange(other, 10, 20)];
    expect(asked.every((each) => each instanceof Promise)).toBe(true);
    admit([first, second]);
    expect((await asked[0])?.length).toBe(20_000);
    expect((await asked[1])?.length).toBe(10);
  });

  test('what is read on its way to the disk was used', async () => {
    await open(LIMIT);
    const early = blocks(4, 256 * 1024, 60_000);
    admit(early);
    expect(await countHere(early)).toBe(early.length);
    await reopen(LIMIT);
    nowMs += LATER_MS;
    // Their second use.
    expect(await countHere(early)).toBe(early.length);
    for (let first = 0; first < 100; first += 20) await read(blocks(20, 256 * 1024, first));
    expect(await countHere(early)).toBe(early.length);
  });

  test('each of two who evict at once is told what it freed itself', async () => {
    await open(64 * MIB);
    const all = blocks(600, 1000);
    admit(all);
    await reopen(64 * MIB);
    const keys = all.map(({ cid }) => blockKey(cid));
    const freed = await Promise.all([cache.evict(keys.slice(0, 100)), cache.evict(keys.slice(100))]);
    expect(freed).toEqual([100_000, 500_000]);
  });

  test('how much is pinned is known, of blocks that are here and of such as come later, and after a restart', async () => {
    await open(64 * MIB);
    const [small, large, later] = [block(1, 1000), block(2, 100_000), block(3, 50_000)];
    admit([small, large]);
    await reopen(64 * MIB);
    expect(cache.pinnedBytes).toBe(0);
    const all = [small, large, later].map(({ cid }) => blockKey(cid));
    cache.pin(all);
    // What has not come takes nothing.
    await settled(() => cache.pinnedBytes === 512 + 1000 + 512 + 25 * 4096);
    admit([later]);
    await reopen(64 * MIB);
    const pinned = 512 + 1000 + 512 + 25 * 4096 + 512 + 13 * 4096;
    expect(cache.pinnedBytes).toBe(pinned);
    cache.pin(all);
    await cache.unpin(all.slice(0, 1));
    expect(cache.pinnedBytes).toBe(pinned - 1512);
    await cache.unpin(all);
    expect(cache.pinnedBytes).toBe(0);
  });

  test('goes on caching when pins are let go of, also where a write was due before that', async () => {
    await open(LIMIT);
    const filling = blocks(60, 256 * 1024, 70_000);
    const keys = filling.map(({ cid }) => blockKey(cid));
    cache.pin(keys);
    admit(filling);
    await reopen(LIMIT);
    expect(cache.isFull).toBe(false);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      admit(blocks(8, 256 * 1024, 90_000));
      // What waits is written, and finds no room.
      vi.runOnlyPendingTimers();
      await cache.unpin(keys);
    } finally {
      vi.useRealTimers();
    }
    const late = blocks(1, 256 * 1024, 95_000);
    admit(late);
    await reopen(LIMIT);
    expect(await countHere(late)).toBe(1);
  });

  test('eviction of a large volume gives others their turn', async () => {
    await open(64 * MIB);
    const many = blocks(2000, 100, 0);
    admit(many);
    await reopen(64 * MIB);
    let turns = 0;
    let over = false;
    const others = (async () => {
      for (; !over; turns++) await new Promise(setImmediate);
    })();
    expect(await cache.evict(many.map(({ cid }) => blockKey(cid)))).toBe(2000 * 100);
    over = true;
    await others;
    expect(turns).toBeGreaterThan(5);
    expect(cache.statistics().blocks).toBe(0);
  });

  test('evict deletes what it is told, pinned blocks not, and says how much', async () => {
    await open(LIMIT);
    admit(hot);
    await reopen(LIMIT);
    cache.pin([blockKey((hot[0] as Block).cid)]);
    expect(await cache.evict(hot.map(({ cid }) => blockKey(cid)))).toBe(15 * 256 * 1024);
    expect(await countHere(hot)).toBe(1);
    expect(filesOfBlocks()).toHaveLength(1);
  });
});

describe('damage', () => {
  const all = [...blocks(30, 1000, 1), ...blocks(30, 20_000, 100), ...blocks(20, 100_000, 200)];

  beforeEach(async () => {
    await open(64 * MIB);
    admit(all);
    await cache.close();
  });

  test('a flipped byte in a file is found, the block forgotten, and taken again', async () => {
    for (const path of filesOfBlocks()) flip(path, 70_001);
    await open(64 * MIB);
    const large = all.slice(60);
    const gone: [string, number][] = [];
    cache.onGone = (key, sizeBytes) => gone.push([key, sizeBytes]);
    for (const { cid } of large) {
      expect(await cache.getRange(blockKey(cid), 0, 1000)).toBeDefined();
      expect(await cache.getRange(blockKey(cid), 65_000, 90_000)).toBeUndefined();
      expect(cache.has(blockKey(cid))).toBe(false);
    }
    expect(logger.said('error')).toHaveLength(large.length);
    await settled(() => gone.length >= large.length);
    expect(gone).toEqual(large.map(({ cid, bytes }) => [blockKey(cid), bytes.length]));
    admit(large);
    await reopen(64 * MIB);
    expect(await countHere(all)).toBe(all.length);
  });

  test.each([
    ['cut short', (path: string) => truncateSync(path, 50_000)],
    ['empty', (path: string) => truncateSync(path, 0)],
    ['of zeroes at its end, as a power cut leaves it', (path: string) => writeAt(path, 50_000, Buffer.alloc(50_000))],
    ['absent', (path: string) => rmSync(path)],
    ['another block’s', (path: string) => writeFileSync(path, readFileSync(filesOfBlocks().at(-1) as string))],
  ])('a file that is %s is as if it were not there', async (_name, spoil) => {
    const paths = filesOfBlocks();
    for (const path of paths.slice(0, -1)) spoil(path);
    await open(64 * MIB);
    expect(await countHere(all)).toBe(61);
    admit(all);
    await reopen(64 * MIB);
    expect(await countHere(all)).toBe(all.length);
  });

  test.each([
    ['zeroes', (path: string) => writeFileSync(path, Buffer.alloc(100_000))],
    ['a text', (path: string) => writeFileSync(path, 'this is no database, whatever its name says. '.repeat(500))],
    ['half of itself', (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2 / 4096) * 4096)],
    ['a database of something else', (path: string) => foreignDatabase(path)],
    ['of a newer version', (path: string) => setVersion(path, 99)],
  ])('an index that is %s: an empty cache that works, and nothing wrong', async (_name, spoil) => {
    spoil(scratch.at('cache', 'blocks.db'));
    await open(64 * MIB);
    await countHere(all);
    await settled(() => cache.statistics().blocks <= all.length);
    await reopen(64 * MIB);
    admit(all);
    await reopen(64 * MIB);
    admit(all);
    await reopen(64 * MIB);
    expect(await countHere(all)).toBe(all.length);
    expect(logger.said('error').length).toBeGreaterThan(0);
  });

  test('an index that is gone: an empty cache, and the files of the old one are swept', async () => {
    rmSync(scratch.at('cache', 'blocks.db'));
    await open(64 * MIB);
    expect(await countHere(all)).toBe(0);
    admit(all.slice(0, 5));
    await reopen(64 * MIB);
    expect(await countHere(all)).toBe(5);
  });

  test('bytes flipped anywhere in the index and its journal: never a wrong block, never an error', async () => {
    const path = scratch.at('cache', 'blocks.db');
    const sound = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 20 }),
        async (flips) => {
          const spoilt = Buffer.from(sound);
          for (const [at, mask] of flips) spoilt[at] = (spoilt[at] as number) ^ mask;
          writeFileSync(path, spoilt);
          await open(64 * MIB);
          await countHere(all);
          for (const { cid } of all) cache.has(blockKey(cid));
          admit(all);
          cache.pin([blockKey((all[0] as Block).cid)]);
          await cache.evict([blockKey((all[1] as Block).cid)]);
          await cache.close();
          for (const name of readdirSync(scratch.at('cache'))) if (name !== 'files') rmSync(scratch.at('cache', name));
        },
      ),
      { numRuns: 25 },
    );
    await open(64 * MIB);
  });
});

describe('a disk that fails', () => {
  test('its directory deleted under it: said, begun anew, and every read answered', async () => {
    await open(64 * MIB);
    const all = blocks(10, 100_000);
    admit(all);
    await settled(() => cache.statistics().blocks === 10);
    let opened = 0;
    cache.onOpened = () => opened++;
    rmSync(scratch.at('cache'), { recursive: true });
    expect(await countHere(all)).toBeLessThanOrEqual(10);
    admit(blocks(5, 1000, 500));
    await settled(() => logger.said('error').length > 0);
    await settled(() => opened === 1);
    admit(all);
    await reopen(64 * MIB);
    expect(await countHere(all)).toBe(10);
  });

  test('its directory replaced by another under it', async () => {
    await open(64 * MIB);
    const all = blocks(10, 1000);
    admit(all);
    await settled(() => cache.statistics().blocks === 10);
    renameSync(scratch.at('cache'), scratch.at('elsewhere'));
    admit(blocks(5, 1000, 500));
    await settled(() => logger.said('error').length > 0);
    admit(all);
    await reopen(64 * MIB);
    expect(await countHere(all)).toBe(10);
  });

  test('a file where its directory should be: no cache, said once, reads answered', async () => {
    writeFileSync(scratch.at('cache'), '');
    await open(64 * MIB);
    admit(blocks(5, 1000));
    expect(await countHere(blocks(5, 1000, 100))).toBe(0);
    expect(cache.statistics()).toMatchObject({ blocks: 0, bytes: 0 });
    expect(logger.said('error')).toEqual([
      'the disk cache cannot be written: going on without it, and trying again every 30 s',
    ]);
  });

  test('a second process on the same cache is refused', async () => {
    await open(64 * MIB);
    await expect(DiskCache.open(scratch.at('cache'), { limitBytes: MIB, logger })).rejects.toMatchObject({
      code: 'STATE_LOCKED',
    });
  });
});

test('a disk that answers too late for the start, and then has the cache of another process: no cache, which is said', async () => {
  await open(64 * MIB);
  const holder = cache;
  // Whoever reads it waits for somebody who writes, as for a disk that does not answer.
  const pulse = scratch.at('cache', 'pulse');
  rmSync(pulse, { force: true });
  execFileSync('mkfifo', [pulse]);
  const late = await DiskCache.open(scratch.at('cache'), { limitBytes: 64 * MIB, logger });
  expect(late.refusal).toBe('the disk does not answer');
  closeSync(openSync(pulse, 'w'));
  await settled(() => logger.said('error').length > 1);
  expect(late.refusal).toMatch(/^the blocks in .* are in use by another ipfs-volume: stop it first/);
  rmSync(pulse);
  await late.close();
  await holder.close();
});

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 0x10;
  writeFileSync(path, bytes);
}

function writeAt(path: string, at: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

function foreignDatabase(path: string): void {
  rmSync(path);
  const database = new DatabaseSync(path);
  database.exec('CREATE TABLE block (something TEXT); PRAGMA user_version = 1');
  database.close();
}

function setVersion(path: string, version: number): void {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA user_version = ${version}`);
  database.close();
}
