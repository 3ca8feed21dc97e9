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
      // Of the second word 28 bits count.
      const names = new Set(pairs.map(([high, low]) => `${high}/${low % 2 ** 28}`));
      const news = pairs.filter(([high, low]) => set.add(key(high, low))).length;
      expect(news).toBe(names.size);
      expect(set.size).toBe(names.size);
      for (const [high, low] of pairs) expect(set.has(key(high, low))).toBe(true);
      expect(set.has(key(...other))).toBe(names.has(`${other[0]}/${other[1] % 2 ** 28}`));
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

test('each has marks of its own, which outlast growth and the deletion of others', () => {
  const set = new FingerprintSet();
  const keys = Array.from({ length: 3000 }, (_, index) => key(index, 7 * index));
  for (const [index, each] of keys.entries()) expect(set.add(each, 1 << (index % 4))).toBe(true);
  for (const each of keys.slice(1000)) expect(set.add(each, 8)).toBe(keys.indexOf(each) % 4 !== 3);
  for (const each of keys.slice(0, 500)) expect(set.delete(each)).toBe(true);
  for (const each of keys.slice(2000)) if (set.has(each, 1)) set.unmark(each, 1);
  expect(set.size).toBe(2500);
  for (const [index, each] of keys.entries()) {
    const marks = index < 500 ? 0 : ((1 << (index % 4)) | (index < 1000 ? 0 : 8)) & (index < 2000 ? 15 : 14);
    for (const mark of [1, 2, 4, 8]) expect(set.has(each, mark)).toBe((marks & mark) !== 0);
  }
});

/** Where the slot followed from the key alone, this took more than a minute, in which nothing else was done. */
test('digests that a link may claim, chosen to meet each other, cost no more than others', () => {
  const set = new FingerprintSet();
  for (let word = 1; word <= 300_000; word++) set.add(key(word, word));
  expect(set.size).toBe(300_000);
});
