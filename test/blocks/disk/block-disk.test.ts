/** Blocks on disk: what one that dies in the middle leaves behind. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { type Block, type BlockKey, blockKey } from '../../../src/blocks/block.ts';
import { BlockDirectory } from '../../../src/blocks/disk/block-directory.ts';
import { BlockDisk } from '../../../src/blocks/disk/block-disk.ts';
import { Scratch } from '../../cli/support/scratch.ts';
import { until } from '../../support/daemon.ts';
import { makeBlock } from '../../support/make-block.ts';

const large = (seed: string) => makeBlock(seed.repeat(40_000));

function open(directory: string, damaged: BlockKey[] = []): BlockDisk {
  return new BlockDisk(directory, {
    durable: true,
    patienceMs: 10_000,
    onDamage: (key) => damaged.push(key),
    onTrouble: (error) => expect.unreachable(String(error)),
  });
}

const filesIn = (directory: string) =>
  readdirSync(join(directory, 'files'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

test('files of blocks that were being written are swept, also where a damaged block was found meanwhile', async () => {
  using scratch = new Scratch();
  const directory = scratch.at('blocks');
  const damaged: BlockKey[] = [];
  const disk = open(directory, damaged);
  const [first, second] = [large('a'), large('b')];
  await disk.putAll(new Map([[blockKey(first.cid), first]]));
  disk.commit();
  const [firstFile = ''] = filesIn(directory);
  writeFileSync(firstFile, 'damaged');
  const putting = disk.putAll(new Map([[blockKey(second.cid), second]]));
  expect(await disk.get(blockKey(first.cid))).toBeUndefined();
  expect(damaged).toEqual([blockKey(first.cid)]);
  await putting;
  expect(filesIn(directory)).toHaveLength(2);
  // It dies before anybody commits.
  disk.database.close();
  const next = open(directory);
  expect(filesIn(directory)).toEqual([firstFile]);
  next.close();
});

test('a damaged block is absent at once, deleted only once the disk has answered, and may be kept anew before', async () => {
  using scratch = new Scratch();
  const damaged: BlockKey[] = [];
  const directory = scratch.at('blocks');
  const disk = open(directory, damaged);
  const both = [large('a'), large('b')];
  const keys = both.map(({ cid }) => blockKey(cid));
  await disk.putAll(new Map(both.map((block) => [blockKey(block.cid), block])));
  disk.commit();
  for (const file of filesIn(directory)) writeFileSync(file, 'damaged');
  for (const key of keys) expect(await disk.get(key)).toBeUndefined();
  const [first, second] = keys as [BlockKey, BlockKey];
  await disk.putAll(new Map([[first, both[0] as Block]]));
  disk.commit();
  await until('the other is deleted', () => disk.totals.blocks === 1);
  expect(damaged).toEqual(keys);
  expect(Buffer.from((await disk.get(first)) ?? []).equals((both[0] as Block).bytes)).toBe(true);
  expect(disk.has(second)).toBe(false);
  disk.close();
  const next = open(directory);
  expect([next.has(first), next.has(second), filesIn(directory).length]).toEqual([true, false, 1]);
  next.close();
});

test('a block that is found damaged while the disk is silent is not deleted in the thread that found it', async () => {
  using scratch = new Scratch();
  const directory = scratch.at('blocks');
  const disk = open(directory);
  const block = large('a');
  const key = blockKey(block.cid);
  await disk.putAll(new Map([[key, block]]));
  disk.commit();
  for (const file of filesIn(directory)) writeFileSync(file, 'damaged');
  const { promise: silence, resolve: answer } = Promise.withResolvers<void>();
  using _ = vi.spyOn(BlockDirectory.prototype, 'answers').mockReturnValue(silence);
  expect(await disk.get(key)).toBeUndefined();
  for (let turns = 0; turns < 100; turns++) await new Promise(setImmediate);
  expect(disk.totals.blocks).toBe(1);
  expect([disk.has(key), disk.ends(key), disk.getRange(key, 0, 1)]).toEqual([false, undefined, undefined]);
  answer();
  await until('it is deleted', () => disk.totals.blocks === 0);
  disk.close();
});

test('a block that is deleted while a read of it waits for the disk was not damaged', async () => {
  using scratch = new Scratch();
  const damaged: BlockKey[] = [];
  const disk = open(scratch.at('blocks'), damaged);
  const block = large('a');
  const key = blockKey(block.cid);
  const written = new Map([[key, block]]);
  await disk.putAll(written);
  disk.commit();
  // The first read asks in another thread whether the disk is there.
  const reading = disk.get(key);
  disk.delete(key);
  disk.commit();
  expect(await reading).toBeUndefined();
  expect(damaged).toEqual([]);
  await disk.putAll(written);
  disk.commit();
  expect(disk.has(key)).toBe(true);
  disk.close();
});
