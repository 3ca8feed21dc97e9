/** Small files read one after the other in a directory that is not here: who reads many waits for a few. */
import type { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../support/mount-content.ts';
import { context } from '../support/walk-file-system.ts';

const FILES = 200;
const FILE_BYTES = 30_000;

async function setUp() {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const files = Array.from({ length: FILES }, (_, index) => {
    const bytes = Buffer.alloc(FILE_BYTES);
    bytes.writeUInt32LE(index);
    return { name: `module${String(index).padStart(3, '0')}`, ...dag.rawPart(bytes) };
  });
  const large = { name: 'library', ...dag.rawPart(Buffer.alloc(600_000, 1)) };
  const root = dag.directory([large, ...files].map(({ name, cid, size }) => ({ name, cid, tsize: size })));
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, root);
  blocks.makeRemote(large.cid, ...files.map(({ cid }) => cid));
  /** Reads one file whole; true where it had to wait. */
  const read = async (index: number): Promise<boolean> => {
    const waits = blocks.fetched.length;
    const entry = await fileSystem.lookup(node, Buffer.from(files[index]?.name ?? ''), context);
    await fileSystem.read(entry.attributes.node, 0, FILE_BYTES, context);
    const waited = blocks.fetched.slice(waits).some(({ priority }) => priority === 'demand');
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    return waited;
  };
  const isHere = (cid: CID) => blocks.has(cid);
  return { blocks, files, large, read, isHere };
}

test('who reads many files of a directory waits for a few of them, in whatever order', async () => {
  const { blocks, large, read, isHere } = await setUp();
  let waits = 0;
  for (let index = 0; index < FILES; index++) if (await read((index * 67) % FILES)) waits++;
  expect(waits).toBeLessThanOrEqual(8);
  expect(new Set(blocks.fetched.map(({ cid }) => `${cid}`)).size).toBe(blocks.fetched.length);
  expect(isHere(large.cid)).toBe(false);
});

test('who reads one file has little of the others fetched', async () => {
  const { blocks, read } = await setUp();
  await read(5);
  expect(blocks.fetched.length).toBeLessThanOrEqual(1 + Math.ceil((256 * 1024) / FILE_BYTES));
  expect(blocks.fetched.slice(1).every(({ priority }) => priority === 'readahead')).toBe(true);
});
