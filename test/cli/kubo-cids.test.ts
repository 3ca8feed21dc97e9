/**
 * The CIDs of `add` are Kubo's, byte for byte of every block, with and without metadata: asked of the real Kubo.
 */
import { chmodSync, lutimesSync, mkdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addTree } from '../../src/cli/add/add-tree.ts';
import { describeWith } from '../support/machine.ts';
import { initKubo, kuboAdd } from './support/kubo-add.ts';
import { Scratch } from './support/scratch.ts';

/** A GiB through two implementations, four times, on a busy machine. */
const TIME_LIMIT_MS = 120_000;
const MIB = 1024 * 1024;

/** Bytes that repeat nowhere within a chunk: an xorshift generator, so that the same test adds the same file. */
function noise(length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

type Make = (path: string) => void;

const file =
  (content: Uint8Array | string): Make =>
  (path) =>
    writeFileSync(path, content);

const sparse =
  (length: number): Make =>
  (path) => {
    writeFileSync(path, '');
    truncateSync(path, length);
  };

/** `count` entries named in order, and more with the lengths given. */
const directory =
  (count: number, nameLength: number, make: Make, ...lastNameLengths: number[]): Make =>
  (path) => {
    mkdirSync(path);
    for (let i = 0; i < count; i++) make(`${path}/${String(i).padStart(nameLength, 'n')}`);
    for (const [i, length] of lastNameLengths.entries()) make(`${path}/${String(i).padStart(length, 'z')}`);
  };

function oddities(path: string): void {
  mkdirSync(`${path}/sub/deep/deeper`, { recursive: true });
  for (const name of [
    '.hidden',
    'ünï-日本-😀',
    'back\\slash\\',
    'new\nline',
    ' ',
    '%2F',
    'é',
    'e\u0301',
    '\uffee',
    '\u{1f600}',
  ]) {
    writeFileSync(`${path}/${name}`, name);
  }
  mkdirSync(`${path}/empty`, { mode: 0 });
  mkdirSync(`${path}/sticky`);
  chmodSync(`${path}/sticky`, 0o1777);
  writeFileSync(`${path}/sub/setuid`, '#!');
  chmodSync(`${path}/sub/setuid`, 0o6755);
  writeFileSync(`${path}/sub/no-permission`, 'x', { mode: 0 });
  symlinkSync('../nowhere', `${path}/sub/dangling`);
  symlinkSync('/absolute/ünï', `${path}/sub/deep/absolute`);
  lutimesSync(`${path}/sub/dangling`, 1_000_000, 1_000_000);
  utimesSync(`${path}/.hidden`, -1.5, -1.5);
  utimesSync(`${path}/ `, 0, 0);
  utimesSync(`${path}/%2F`, 5_000_000_000, 5_000_000_000);
  utimesSync(`${path}/sub/deep`, 1234567890.123, 1234567890.123);
}

/** A link to one raw byte takes 44 bytes and its name's; 262,140 of them fill a block of 256 KiB exactly. */
const CASES: Readonly<Record<string, Make>> = {
  'a file of 0 bytes': file(''),
  'a file of 1 byte': file('x'),
  'a file of 1 MiB': file(noise(MIB)),
  'a file of 1 MiB + 1': file(noise(MIB + 1)),
  'a file of 5 MiB and a half': file(noise(5.5 * MIB)),
  'a file of 1 GiB, which is 1024 chunks': sparse(1024 * MIB),
  'a file of 1 GiB + 1, which opens a level': sparse(1024 * MIB + 1),
  'an empty directory': directory(0, 0, file('')),
  'a directory of 10,000 entries': directory(10_000, 8, file('same')),
  'odd names, modes, times and symlinks': oddities,
  'a directory whose block is 256 KiB': directory(4094, 20, file('x'), 80),
  'a directory whose block is 256 KiB and a byte': directory(4094, 20, file('x'), 81),
  'a directory of 6,000 directories': directory(6000, 8, (path) => {
    mkdirSync(path);
    writeFileSync(`${path}/file`, noise(300));
  }),
};

describeWith(['kubo'], 'the CIDs of add', () => {
  let scratch: Scratch;
  beforeAll(async () => {
    scratch = new Scratch();
    await initKubo(scratch.at('repo'));
  });
  afterAll(() => scratch[Symbol.dispose]());

  test.each(Object.entries(CASES))(
    '%s',
    async (name, make) => {
      const path = scratch.at(name.replaceAll(/\W/g, '-'));
      make(path);
      // A time with nanoseconds, the same for the root of each.
      utimesSync(path, 1_700_000_000.123, 1_700_000_000.123);
      for (const keepMetadata of [false, true]) {
        const root = await addTree(path, () => undefined, { keepMetadata });
        expect(root.cid.toString(), `metadata: ${keepMetadata}`).toBe(
          await kuboAdd(scratch.at('repo'), path, keepMetadata),
        );
      }
    },
    TIME_LIMIT_MS,
  );
});
