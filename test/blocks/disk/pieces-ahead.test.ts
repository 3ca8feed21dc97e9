/** Pieces of files that other threads bring: what is found, what is not, and whose memory it is. */
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Scratch as Memory } from '../../../src/base/scratch.ts';
import { BlockFiles } from '../../../src/blocks/disk/block-files.ts';
import { OpenFiles } from '../../../src/blocks/disk/open-files.ts';
import { PiecesAhead } from '../../../src/blocks/disk/pieces-ahead.ts';
import { Scratch } from '../../cli/support/scratch.ts';

const SIZE = 40_000;

/** Files 0 to 19, each full of its own number; `brought` resolves when the disk has answered so often. */
function ahead(scratch: Scratch) {
  for (let id = 0; id < 20; id++) writeFileSync(scratch.at(String(id)), Buffer.alloc(SIZE, id));
  const files = new OpenFiles((id) => scratch.at(String(id)));
  let answers = 0;
  const pieces = new PiecesAhead(files, () => {
    answers++;
  });
  const bring = async (id: number, from: number, to: number) => {
    const before = answers;
    pieces.bring(id, from, to);
    await expect.poll(() => answers).toBe(before + 1);
    await new Promise(setImmediate);
  };
  return { pieces, files, bring };
}

test('a piece is found by any part of it, and by nothing beyond it', async () => {
  using scratch = new Scratch();
  const { pieces, files, bring } = ahead(scratch);
  await bring(7, 4096, 12_288);
  expect(pieces.find(7, 5000, 5010)).toEqual(Buffer.alloc(10, 7));
  expect(pieces.find(7, 4096, 12_288)).toHaveLength(8192);
  for (const [id, from, to] of [
    [7, 4095, 5000],
    [7, 12_280, 12_289],
    [8, 5000, 5010],
  ] as const)
    expect(pieces.find(id, from, to)).toBeUndefined();
  files.clear();
});

test('a file that is shorter is found as far as it goes, and one that is not there is nothing', async () => {
  using scratch = new Scratch();
  const { pieces, files, bring } = ahead(scratch);
  pieces.bring(99, 0, 4096);
  await bring(3, 36_864, 81_920);
  expect(pieces.find(3, 36_864, SIZE)).toHaveLength(SIZE - 36_864);
  expect(pieces.find(3, 36_864, SIZE + 1)).toBeUndefined();
  expect(pieces.find(99, 0, 1)).toBeUndefined();
  files.clear();
});

test('memory is used again by the pieces that come later, the oldest first', async () => {
  using scratch = new Scratch();
  const { pieces, files, bring } = ahead(scratch);
  const buffers = new Set<ArrayBufferLike | undefined>();
  for (let id = 0; id < 20; id++) {
    await bring(id, 0, 4096);
    buffers.add(pieces.find(id, 0, 1)?.buffer);
  }
  expect(buffers.size).toBe(8);
  expect(pieces.find(11, 0, 1)).toBeUndefined();
  for (let id = 12; id < 20; id++) expect(pieces.find(id, 0, 4096)).toEqual(Buffer.alloc(4096, id));
  files.clear();
});

test('whoever keeps what he reads is given memory of his own', async () => {
  using scratch = new Scratch();
  const files = new BlockFiles(scratch.at('blocks'), 1000);
  await files.write(1, Buffer.alloc(SIZE, 1));
  files.expect(1, 0, SIZE);
  const memory = new Memory(2 * SIZE);
  const own = memory.take(1).buffer;
  // From then on it is given what was brought, and not what it reads into its scratch.
  await expect
    .poll(async () => {
      const read = await files.read(1, 100, 200, memory);
      expect(read).toEqual(Buffer.alloc(100, 1));
      return read.buffer !== own && read.buffer.byteLength === SIZE;
    })
    .toBe(true);
  const [shared, kept] = [await files.read(1, 100, 200, memory), await files.read(1, 100, 200)];
  expect(kept).toEqual(new Uint8Array(shared));
  expect(kept.buffer).not.toBe(shared.buffer);
  files.close();
});
