/** Entries that were decoded ahead of readers: whoever needs one first has it on his account, once. */
import type { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import type { OnBlock } from '../../src/blocks/block-reader.ts';
import type { Priority } from '../../src/blocks/priority.ts';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';

function setUp(cacheBytes?: number) {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const directories = [1, 2, 3].map((at) =>
    dag.directory([{ name: `file ${at}`, cid: dag.raw(Buffer.from(`${at}`)) }]),
  );
  const unixfs = new UnixfsReader(blocks, cacheBytes === undefined ? {} : { cacheBytes });
  const needed: string[] = [];
  const account: OnBlock = (cid, _bytes, { priority, fetched }) => needed.push(`${priority} ${fetched} ${cid}`);
  const ask = async (cid: CID, priority: Priority) => {
    needed.length = 0;
    await unixfs.entry(contentKey(cid), { priority, account });
    return [...needed];
  };
  return { directories, unixfs, ask };
}

test('decoded ahead, then needed: accounted once', async () => {
  const { directories, ask } = setUp();
  const [directory] = directories as [CID];
  await ask(directory, 'readahead');
  expect(await ask(directory, 'readahead')).toEqual([]);
  expect(await ask(directory, 'metadata')).toEqual([`metadata false ${directory}`]);
  expect(await ask(directory, 'demand')).toEqual([`demand false ${directory}`]);
  expect(await ask(directory, 'demand')).toEqual([]);
});

test("decoded for a reader, it is on nobody else's account", async () => {
  const { directories, ask } = setUp();
  const [directory] = directories as [CID];
  await ask(directory, 'demand');
  expect(await ask(directory, 'demand')).toEqual([]);
});

test('what the cache let go is not remembered either', async () => {
  const { directories, unixfs, ask } = setUp(1500);
  for (const directory of directories) await ask(directory, 'readahead');
  const [first] = directories as [CID];
  expect(unixfs.known(contentKey(first))).toBeUndefined();
  const needed: CID[] = [];
  unixfs.needed(contentKey(first), { priority: 'demand', account: (cid) => needed.push(cid) });
  expect(needed).toEqual([]);
});
