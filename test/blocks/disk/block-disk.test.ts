/** Blocks on disk: what one that dies in the middle leaves behind. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type BlockKey, blockKey } from '../../../src/blocks/block.ts';
import { BlockDisk } from '../../../src/blocks/disk/block-disk.ts';
import { Scratch } from '../../cli/support/scratch.ts';
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
