/** Inode numbers: of content and place alone, so that they outlast the nodes. */
import { expect, test } from 'vitest';
import { contentInode, placeInode } from '../../src/fs/inode-number.ts';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { makeBlocks } from '../support/make-block.ts';
import { fileSystemOver, mountRoot } from '../support/mount-content.ts';
import { listAll } from '../support/walk-file-system.ts';

test('a hundred thousand files, and as many places, have as many numbers, all safe and none special', () => {
  const blocks = makeBlocks(100_000);
  const numbers = [
    ...blocks.map(({ cid }) => contentInode(contentKey(cid))),
    ...blocks.map((_, index) => placeInode(1, `${index}`)),
    ...blocks.map((_, index) => placeInode(index * 2 ** 33, 'same name')),
  ];
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(numbers.every((number) => Number.isSafeInteger(number) && number > 1)).toBe(true);
});

test('a node that was forgotten comes back with its number, in another table too; equal directories have two', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const sub = dag.directory([{ name: 'leaf', cid: dag.raw(Buffer.from('leaf')) }]);
  const root = dag.directory([
    { name: 'a', cid: sub },
    { name: 'b', cid: sub },
    { name: 'file', cid: dag.raw(Buffer.from('file')) },
    { name: 'node', cid: dag.part([dag.rawPart(Buffer.from('node'))]).cid },
  ]);
  const inodes = async (withAttributes: boolean) => {
    const fileSystem = fileSystemOver(blocks);
    const node = await mountRoot(fileSystem, root);
    const first = await listAll(fileSystem, node, true, 10);
    for (const { entry } of first) fileSystem.forget(entry?.attributes.node ?? 0, 1);
    const again = await listAll(fileSystem, node, withAttributes, 10);
    // The number by which a listing calls it is the one that it has itself.
    if (withAttributes)
      expect(again.map(({ entry }) => entry?.attributes.inode)).toEqual(again.map(({ inode }) => inode));
    expect(again.map(({ inode }) => inode)).toEqual(first.map(({ inode }) => inode));
    return again.map(({ inode }) => inode);
  };
  const [known, named] = [await inodes(true), await inodes(false)];
  expect(named).toEqual(known);
  expect(new Set(known).size).toBe(4);
});
