import fc from 'fast-check';
import { expect, test } from 'vitest';
import { directoryNameOf, volumeNameOf } from '../../src/volumes/volume-name.ts';

test.each([
  ['data', 'data'],
  ['bafy/sub/dir', 'bafy%2Fsub%2Fdir'],
  ['.', '%2E'],
  ['..', '%2E.'],
  ['a.b', 'a.b'],
  ['100%', '100%25'],
  ['ä', '%C3%A4'],
])('%s is the directory %s', (name, directory) => {
  expect(directoryNameOf(name)).toBe(directory);
  expect(volumeNameOf(directory)).toBe(name);
});

test('always one file name, and never the same for two volumes', () => {
  const name = fc.string({ minLength: 1, maxLength: 400, unit: 'binary' });
  fc.assert(
    fc.property(name, name, (one, other) => {
      const directory = directoryNameOf(one);
      expect(directory).toMatch(/^[A-Za-z0-9%_-][A-Za-z0-9%._-]{0,254}$/);
      if (Buffer.from(one).equals(Buffer.from(other))) return;
      expect(directoryNameOf(other)).not.toBe(directory);
    }),
  );
});

test('long names that differ at their end only stay apart', () => {
  const long = 'x/'.repeat(300);
  expect(volumeNameOf(directoryNameOf(long))).toBe(directoryNameOf(long));
  expect(directoryNameOf(`${long}a`)).not.toBe(directoryNameOf(`${long}b`));
  expect(directoryNameOf(`${long}a`).length).toBe(255);
});
