/** Bodies in pieces of any size. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pieces } from '../../src/sources/pieces.ts';

test('however they are cut, the bytes are those that came', () => {
  const cuts = fc.array(fc.uint8Array({ maxLength: 3 }), { minLength: 0, maxLength: 5000, size: 'max' });
  fc.assert(
    fc.property(cuts, (all) => {
      const pieces = new Pieces();
      for (const piece of all) pieces.add(piece);
      const whole = Buffer.concat(all);
      expect(pieces.sizeBytes).toBe(whole.length);
      expect(Buffer.compare(pieces.bytes, whole)).toBe(0);
    }),
    { numRuns: 20 },
  );
});

test('a block that comes byte by byte takes little more memory than one that comes at once', () => {
  const before = process.memoryUsage().heapUsed;
  const source = Buffer.alloc(2 * 1024 * 1024, 'x');
  const pieces = new Pieces();
  for (let at = 0; at < source.length; at++) pieces.add(source.subarray(at, at + 1));
  // Two million views are more than 200 MB; what was let go of may still be there, as far as the young generation goes.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(150_000_000);
  expect(Buffer.compare(pieces.bytes, source)).toBe(0);
});
