import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyList } from '../../src/prefetch/key-list.ts';
import type { ContentKey } from '../../src/unixfs/content-key.ts';

test('gives keys in their order, those that come meanwhile too, and all of them again', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 40_000 }) }) },
    { weight: 6, arbitrary: fc.constant('next' as const) },
    { weight: 1, arbitrary: fc.constant('rewind' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const list = new KeyList();
      const model: string[] = [];
      let at = 0;
      for (const [index, each] of steps.entries()) {
        if (each === 'next') {
          expect(list.next()).toBe(model[at]);
          if (at < model.length) at++;
        } else if (each === 'rewind') {
          list.rewind();
          at = 0;
        } else {
          const key = String.fromCharCode(index % 256).repeat(each.push);
          model.push(key);
          list.push(key as ContentKey);
        }
      }
      list.rewind();
      for (const key of [...model, undefined]) expect(list.next()).toBe(key);
    }),
    { numRuns: 50 },
  );
});
