/** What was evicted is told of once that stays so. */
import { expect, test } from 'vitest';
import type { BlockKey } from '../../src/blocks/block.ts';
import type { CacheDisk } from '../../src/cache/cache-disk.ts';
import { CacheRoom } from '../../src/cache/cache-room.ts';

/** Blocks and their sizes, the one that is to go first before the others. */
function diskOf(there: Map<string, number>): CacheDisk {
  return {
    disk: {
      get spaceBytes() {
        return [...there.values()].reduce((sum, size) => sum + size, 0);
      },
      delete: (key: string) => there.delete(key),
    },
    usage: {
      victims: () => [...there].map(([key, size]) => ({ key, size })),
      delete: () => undefined,
      renew: (key: string) => {
        const size = there.get(key) as number;
        there.delete(key);
        there.set(key, size);
      },
    },
  } as unknown as CacheDisk;
}

test('one that is held goes when nothing else is left, and is renewed before', () => {
  const room = new CacheRoom(1000, () => undefined);
  const there = new Map([
    ['held', 300],
    ['a', 600],
    ['b', 700],
  ]);
  const open = diskOf(there);
  const [first, second] = [room.hold('held' as BlockKey), room.hold('held' as BlockKey)];
  expect(room.make(open, 600)).toBe(true);
  expect([...there.keys()]).toEqual(['held']);
  expect(room.make(open, 900)).toBe(true);
  expect([...there.keys()]).toEqual([]);
  there.set('held', 300).set('c', 600);
  first();
  first();
  expect(room.make(open, 300)).toBe(true);
  expect([...there.keys()]).toEqual(['held']);
  there.set('d', 600);
  second();
  expect(room.make(open, 300)).toBe(true);
  expect([...there.keys()]).toEqual(['d']);
});

test('each block is told of, and counted, after the commit, and not where there was none', () => {
  const told: string[] = [];
  const room = new CacheRoom(1000, (key, sizeBytes) => told.push(`${key} ${sizeBytes}`));
  const there = new Map([
    ['a', 600],
    ['b', 700],
  ]);
  const open = diskOf(there);

  room.make(open, 0);
  expect([...there.keys()]).toEqual(['b']);
  expect(told).toEqual([]);
  // Taken back.
  there.clear();
  there.set('c', 800).set('a', 600);
  room.make(open, 0);
  room.committed();
  expect(told).toEqual(['c 800']);
  room.committed();
  expect(told).toHaveLength(1);
  expect(room.evictions).toBe(1);
});
