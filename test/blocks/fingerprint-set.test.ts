/** The set of blocks that walks over volumes go by. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FingerprintSet } from '../../src/blocks/fingerprint-set.ts';

/** A key that ends in those two words, as a digest would. */
function key(high: number, low: number): string {
  const bytes = Buffer.alloc(34);
  bytes.writeUInt32BE(high, 26);
  bytes.writeUInt32BE(low, 30);
  return bytes.toString('latin1');
}

test('holds what was added, and nothing else', () => {
  const word = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(
    fc.property(fc.array(fc.tuple(word, word), { maxLength: 3000 }), fc.tuple(word, word), (pairs, other) => {
      const set = new FingerprintSet();
      // Of the second word 27 bits count.
      const names = new Set(pairs.map(([high, low]) => `${high}/${low % 2 ** 27}`));
      const news = pairs.filter(([high, low]) => set.add(key(high, low))).length;
      expect(news).toBe(names.size);
      expect(set.size).toBe(names.size);
      for (const [high, low] of pairs) expect(set.has(key(high, low))).toBe(true);
      expect(set.has(key(...other))).toBe(names.has(`${other[0]}/${other[1] % 2 ** 27}`));
    }),
    { numRuns: 20 },
  );
});

test('what is deleted is gone, and hides nothing of the others', () => {
  // Few words, so that many keys stand in each other's way.
  const word = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), word, word), { maxLength: 3000 }), (steps) => {
      const set = new FingerprintSet();
      const names = new Set<string>();
      for (const [adds, high, low] of steps) {
        const name = `${high}/${low}`;
        const had = names.has(name);
        expect(adds ? set.add(key(high, low)) : set.delete(key(high, low))).toBe(adds !== had);
        if (adds) names.add(name);
        else names.delete(name);
      }
      expect(set.size).toBe(names.size);
      for (let high = 1; high <= 40; high++)
        for (let low = 1; low <= 40; low++) expect(set.has(key(high, low))).toBe(names.has(`${high}/${low}`));
    }),
    { numRuns: 50 },
  );
});

test('each has marks of its own, which outlast growth and what becomes of others', () => {
  // Few words and few marks, so that they meet.
  const step = fc.tuple(
    fc.constantFrom('add', 'add', 'delete', 'keep'),
    fc.integer({ min: 0, max: 60 }),
    fc.integer({ min: 0, max: 60 }),
    fc.integer({ min: 0, max: 4 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 4000 }), fc.integer({ min: 1, max: 5 }), (steps, keeps) => {
      const set = new FingerprintSet();
      const marks = new Map<string, number>();
      let keepsLeft = keeps;
      for (const [what, high, low, bit] of steps) {
        const name = `${high}/${low}`;
        const mark = 1 << bit;
        const had = marks.get(name) ?? 0;
        if (what === 'add') {
          expect(set.add(key(high, low), mark)).toBe((had & mark) === 0);
          marks.set(name, had | mark);
        } else if (what === 'delete') {
          expect(set.delete(key(high, low), mark)).toBe((had & mark) !== 0);
          marks.set(name, had & ~mark);
        } else if (keepsLeft-- > 0) {
          set.keepOnly(mark);
          for (const [each, its] of marks) marks.set(each, its & mark);
        }
      }
      expect(set.size).toBe([...marks.values()].filter((its) => its !== 0).length);
      for (let high = 0; high <= 60; high++)
        for (let low = 0; low <= 60; low++)
          for (const mark of [1, 2, 4, 8, 16])
            expect(set.has(key(high, low), mark)).toBe(((marks.get(`${high}/${low}`) ?? 0) & mark) !== 0);
    }),
    { numRuns: 30 },
  );
});

/** Where the slot followed from the key alone, this took more than a minute, in which nothing else was done. */
test('digests that a link may claim, chosen to meet each other, cost no more than others', () => {
  const set = new FingerprintSet();
  for (let word = 1; word <= 300_000; word++) set.add(key(word, word));
  expect(set.size).toBe(300_000);
});
