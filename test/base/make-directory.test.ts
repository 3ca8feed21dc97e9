import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { makeDirectory } from '../../src/base/make-directory.ts';
import { Scratch } from '../cli/support/scratch.ts';

const isDirectory = (path: string) => statSync(path).isDirectory();

test('makes what is missing, with the mode, and leaves what is there', () => {
  using scratch = new Scratch();
  makeDirectory(scratch.at('a', 'b', 'c'), 0o700);
  expect(['a', 'a/b', 'a/b/c'].map((path) => statSync(scratch.at(path)).mode & 0o777)).toEqual([0o700, 0o700, 0o700]);
  makeDirectory(scratch.at('a', 'b'), 0o755);
  expect(statSync(scratch.at('a', 'b')).mode & 0o777).toBe(0o700);
  makeDirectory('/', 0o755);
  mkdirSync(scratch.at('real'));
  symlinkSync(scratch.at('real'), scratch.at('link'));
  makeDirectory(scratch.at('link', 'below'), 0o755);
  expect(isDirectory(scratch.at('real', 'below'))).toBe(true);
});

test('where something else is in the way, or nothing can be made, it says so, and ends', () => {
  using scratch = new Scratch();
  writeFileSync(scratch.at('file'), '');
  expect(() => makeDirectory(scratch.at('file'), 0o755)).toThrow('EEXIST');
  expect(() => makeDirectory(scratch.at('file', 'below', 'it'), 0o755)).toThrow('ENOTDIR');
  symlinkSync(scratch.at('nowhere'), scratch.at('dangling'));
  expect(() => makeDirectory(scratch.at('dangling', 'below'), 0o755)).toThrow('EEXIST');
  // Node's own recursion spins here.
  expect(() => makeDirectory('/proc/no/such', 0o755)).toThrow('ENOENT');
});
