/** Large blocks as files, where the process may have few of them open. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const MODULE = new URL('../../src/blocks/disk/block-files.ts', import.meta.url).pathname;

/** Writes a hundred files and reads each twice; prints how many came back as written, and the descriptors open then. */
const PROGRAM = `
  import { openSync, readdirSync } from 'node:fs';
  import { BlockFiles } from '${MODULE}';
  const [directory, hog] = process.argv.slice(1);
  const files = new BlockFiles(directory, 1000);
  for (let id = 0; id < 100; id++) await files.write(id, Buffer.alloc(40_000, id));
  let right = 0;
  for (let id = 0; id < 100; id++) {
    if (id === 50 && hog) try { for (;;) openSync('/dev/null'); } catch {}
    for (const from of [0, 39_990]) right += Number(Buffer.alloc(10, id).equals(await files.read(id, from, from + 10)));
  }
  console.log(right, readdirSync('/proc/self/fd').length);
`;

function readUnder(limit: number, hog: string): number[] {
  const directory = mkdtempSync(join(tmpdir(), 'ipfs-volume-block-files-'));
  try {
    const node = [process.execPath, '--input-type=module', '-e', PROGRAM, directory, hog];
    const output = execFileSync('prlimit', [`--nofile=${limit}:${limit}`, ...node], { encoding: 'utf8' });
    return output.trim().split(' ').map(Number);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('keeps an eighth open of what the process may open', () => {
  const [right, descriptors] = readUnder(160, '');
  expect(right).toBe(200);
  expect(descriptors).toBeLessThan(160 / 2);
});

test('gives up what it keeps where others have opened all the rest', () => {
  expect(readUnder(160, 'hog')[0]).toBe(200);
});
