/** What was put and deleted since the last commit is one: rows, files and totals come and go together. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Block, type BlockKey, blockKey } from '../../../src/blocks/block.ts';
import { openBlockDatabase } from '../../../src/blocks/disk/block-database.ts';
import { BlockFiles } from '../../../src/blocks/disk/block-files.ts';
import { BlockRows } from '../../../src/blocks/disk/block-rows.ts';
import { DiskChanges } from '../../../src/blocks/disk/disk-changes.ts';
import { DiskTotal } from '../../../src/blocks/disk/disk-total.ts';
import { Scratch } from '../../cli/support/scratch.ts';
import { makeBlock } from '../../support/make-block.ts';

const [LARGE, OTHER, SMALL] = ['a'.repeat(40_000), 'b'.repeat(50_000), 'c'].map(makeBlock) as [Block, Block, Block];
const keyOf = ({ cid }: Block) => blockKey(cid);

function open(directory: string) {
  const database = openBlockDatabase(directory, true);
  const files = new BlockFiles(directory, 10_000);
  const rows = new BlockRows(database);
  const total = new DiskTotal(database);
  const changes = new DiskChanges(database, files, rows, total);
  changes.recover();
  return { directory, database, files, rows, total, changes };
}

type Opened = ReturnType<typeof open>;

async function put({ changes }: Opened, ...blocks: Block[]): Promise<void> {
  const numbered = await changes.writeFiles(new Map(blocks.map((block) => [keyOf(block), block])));
  for (const block of numbered) changes.insert(block);
}

function remove({ changes, rows }: Opened, key: BlockKey): void {
  changes.delete(rows.find(key) as NonNullable<ReturnType<BlockRows['find']>>, key);
}

const filesIn = ({ directory }: Opened) =>
  readdirSync(join(directory, 'files'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => Number(name));

test('what is taken back leaves no file, row or byte behind, and takes none away', async () => {
  using scratch = new Scratch();
  const disk = open(scratch.at('blocks'));
  await put(disk, LARGE, SMALL);
  disk.changes.commit();
  const files = filesIn(disk);
  expect(files).toHaveLength(1);
  await put(disk, OTHER);
  remove(disk, keyOf(LARGE));
  expect([disk.total.blocks, disk.total.bytes]).toEqual([2, 50_001]);
  expect(filesIn(disk)).toHaveLength(2);
  disk.changes.abandon();
  expect(filesIn(disk)).toEqual(files);
  expect([LARGE, OTHER, SMALL].map((block) => disk.rows.has(keyOf(block)))).toEqual([true, false, true]);
  expect([disk.total.blocks, disk.total.bytes]).toEqual([2, 40_001]);
  disk.database.close();
});

test('a file goes once it is settled that its row is gone, and a process that dies in between leaves the word', async () => {
  using scratch = new Scratch();
  const disk = open(scratch.at('blocks'));
  await put(disk, LARGE, OTHER);
  disk.changes.commit();
  remove(disk, keyOf(LARGE));
  expect(filesIn(disk)).toHaveLength(2);
  // As a disk that does not let go of it.
  disk.files.remove = () => {};
  disk.changes.commit();
  expect(filesIn(disk)).toHaveLength(2);
  disk.database.close();
  const next = open(scratch.at('blocks'));
  expect(filesIn(next)).toHaveLength(1);
  expect([LARGE, OTHER].map((block) => next.rows.has(keyOf(block)))).toEqual([false, true]);
  next.database.close();
});

test('a file that cannot be written fails the call once all others have ended, and leaves nothing', async () => {
  using scratch = new Scratch();
  const disk = open(scratch.at('blocks'));
  // The first number's place is a directory.
  mkdirSync(disk.files.path(disk.total.nextId), { recursive: true });
  const putting = put(disk, LARGE, OTHER);
  expect(disk.changes.isIdle).toBe(false);
  await expect(putting).rejects.toMatchObject({ code: 'EISDIR' });
  expect(disk.changes.isIdle).toBe(true);
  disk.changes.abandon();
  expect(filesIn(disk)).toEqual([]);
  expect(disk.total.blocks).toBe(0);
  disk.database.close();
});

test('some at a time are deleted, by a condition, and it says where to go on', async () => {
  using scratch = new Scratch();
  const disk = open(scratch.at('blocks'));
  await put(disk, LARGE, OTHER, SMALL);
  disk.changes.commit();
  const first = disk.changes.deleteSome(0, 2, 'size > 45000');
  expect(first).toMatchObject({ blocks: 1, bytes: 50_000 });
  expect(disk.changes.isIdle).toBe(true);
  const rest = disk.changes.deleteSome(first.next as number, 2, 'TRUE');
  expect(rest).toEqual({ blocks: 1, bytes: 1, next: undefined });
  expect([LARGE, OTHER, SMALL].map((block) => disk.rows.has(keyOf(block)))).toEqual([true, false, false]);
  expect(filesIn(disk)).toHaveLength(1);
  disk.database.close();
});
