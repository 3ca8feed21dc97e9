/** Within one bound whoever comes, and each owner's latest; what is kept for volumes goes with them. */
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { PerVolume } from '../../../src/fs/ahead/per-volume.ts';
import { SharedLatest } from '../../../src/fs/ahead/shared-latest.ts';
import { RootDirectory } from '../../../src/fs/root-directory.ts';
import { volumeSpec } from '../../support/mount-content.ts';

const MAX_WEIGHT = 100;
const MAX_EACH = 6;
const weigh = (key: number) => key;

test('holds the latest of each owner within both bounds, and gives up of whoever holds most', () => {
  const step = fc.record({ owner: fc.nat(5), key: fc.integer({ min: 1, max: 40 }), forget: fc.nat(30) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const latest = new SharedLatest<number, number, number>({ maxWeight: MAX_WEIGHT, weigh, maxEach: MAX_EACH });
      // Of each owner, oldest first.
      const plain = new Map<number, number[]>();
      const weightOf = (keys: readonly number[] = []) => keys.reduce((sum, key) => sum + key, 0);
      steps.forEach(({ owner, key, forget }, at) => {
        if (forget === 0) {
          latest.forget(owner);
          plain.delete(owner);
          return;
        }
        latest.set(owner, key, at);
        plain.set(owner, [...(plain.get(owner) ?? []).filter((other) => other !== key), key].slice(-MAX_EACH));
        while (weightOf([...plain.values()].flat()) > MAX_WEIGHT) {
          const heaviest = Math.max(...[...plain.values()].map(weightOf));
          // Of several the one that has been there longest.
          const [giver, keys] = [...plain].find(([, each]) => weightOf(each) === heaviest) as [number, number[]];
          keys.shift();
          if (keys.length === 0) plain.delete(giver);
        }
        for (const each of plain.keys()) expect([...latest.items(each).keys()]).toEqual(plain.get(each));
        if (latest.has(owner, key)) expect(latest.get(owner, key)).toBe(at);
        expect(latest.weight).toBe(weightOf([...plain.values()].flat()));
      });
    }),
  );
});

test('what is kept for volumes that were removed is given up when the next one’s is made', () => {
  const root = new RootDirectory();
  const add = (name: string) => root.add(volumeSpec(CID.parse('bafkqaaa'), { name }));
  const ended: string[] = [];
  const kept = new PerVolume(
    ({ spec }) => spec.name,
    (_volume, name) => ended.push(name),
  );
  const [first, second] = [add('first'), add('second')];
  expect([kept.get(first), kept.get(second), kept.get(first)]).toEqual(['first', 'second', 'first']);
  root.remove('first');
  expect(ended).toEqual([]);
  kept.get(add('third'));
  expect(ended).toEqual(['first']);
});
