/** Small files read one after the other in a directory that is not here: who reads many waits for a few. */
import type { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import type { NodeId } from '../../../src/fs/file-system.ts';
import { BlockMap } from '../../support/block-map.ts';
import { DagBuilder } from '../../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../../support/mount-content.ts';
import { context } from '../../support/walk-file-system.ts';

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

test.each(['in one volume', 'in as many volumes'])(
  'of large directories only the latest few are remembered: %s',
  async (where) => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const file = (content: string) => ({ cid: dag.raw(Buffer.from(content)), tsize: content.length });
    const many = Array.from({ length: 12_000 }, (_, index) => ({ name: `n${index}`, ...file(`content ${index}`) }));
    const roots = ['a', 'b', 'c'].map((name) => ({
      name,
      cid: dag.directory([
        ...many,
        { name: 'one', ...file(`one of ${name}`) },
        { name: 'two', ...file(`two of ${name}`) },
      ]),
    }));
    const fileSystem = fileSystemOver(blocks);
    const root = where === 'in one volume' ? await mountRoot(fileSystem, dag.directory(roots)) : undefined;
    const read = async (name: string) => {
      const { cid } = file(`one of ${name}`);
      blocks.makeRemote(cid, file(`two of ${name}`).cid);
      const directory =
        root === undefined
          ? await mountRoot(fileSystem, roots.find((each) => each.name === name)?.cid as CID, { name })
          : (await fileSystem.lookup(root, Buffer.from(name), context)).attributes.node;
      const { node, sizeBytes } = (await fileSystem.lookup(directory, Buffer.from('one'), context)).attributes;
      return { pieces: () => fileSystem.read(node, 0, sizeBytes, context), sibling: file(`two of ${name}`).cid };
    };
    const [first, , last] = [await read('a'), await read('b'), await read('c')];
    for (const { pieces } of [first, last]) await pieces();
    await new Promise(setImmediate);
    const fetched = blocks.fetched.map(({ cid }) => `${cid}`);
    expect(fetched).toContain(`${last.sibling}`);
    expect(fetched).not.toContain(`${first.sibling}`);
  },
);

test('who reads a file of more than a block has none of the others fetched', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const files = ['a', 'b', 'c'].map((name) => {
    const { cid, size } = dag.rawPart(Buffer.alloc(1024 * 1024 + 1, name));
    return { name, cid, tsize: size };
  });
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, dag.directory(files));
  blocks.makeRemote(...files.map(({ cid }) => cid));
  const { attributes } = await fileSystem.lookup(node, Buffer.from('a'), context);
  await fileSystem.read(attributes.node, 0, 4096, context);
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  expect(files.map(({ cid }) => blocks.has(cid))).toEqual([true, false, false]);
});

test('those with the same ending come first, and then the others', async () => {
  const { blocks, files, node, fileSystem } = await packages();
  await readFile(fileSystem, node, 'p00', 'm00.py');
  const wanted = blocks.fetched.map(({ cid }) => `${cid}`);
  const at = (name: string) => wanted.indexOf(`${files.get(`p00/${name}`)}`);
  expect(at('m00.py')).toBeGreaterThanOrEqual(0);
  expect(at('m19.py')).toBeGreaterThan(0);
  expect(at('m00.txt')).toBeGreaterThan(at('m19.py'));
});

test('of files that are called otherwise come few, however many of the others are read', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const file = (name: string) => {
    const { cid, size } = dag.rawPart(Buffer.alloc(20_000, name));
    return { name, cid, tsize: size };
  };
  const modules = Array.from({ length: 40 }, (_, at) => file(`m${at}.pyc`));
  const texts = Array.from({ length: 40 }, (_, at) => file(`m${at}.txt`));
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, dag.directory([...modules, ...texts]));
  const remote = [...modules, ...texts].map(({ cid }) => cid);
  blocks.makeRemote(...remote);
  const read = async (name: string) => {
    const { attributes } = await fileSystem.lookup(node, Buffer.from(name), context);
    await fileSystem.read(attributes.node, 0, 20_000, context);
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  };
  for (const { name, cid } of modules) {
    // Each is waited for, whatever came before.
    blocks.makeRemote(cid);
    await read(name);
  }
  const came = () => texts.filter(({ cid }) => blocks.has(cid)).length;
  expect(came()).toBe(Math.ceil((256 * 1024) / 20_000));
  await read('m0.txt');
  await read('m39.txt');
  expect(came()).toBe(texts.length);
});

test('waits pay for the next directories: what is read there is on its way, and nothing that is called otherwise', async () => {
  const { blocks, files, node, fileSystem } = await packages();
  for (const name of ['m00.py', 'm01.py']) await readFile(fileSystem, node, 'p00', name);
  const before = blocks.fetched.length;
  await fileSystem.lookup(await directoryOf(fileSystem, node, 'p01'), Buffer.from('m07.py'), context);
  const ahead = blocks.fetched.slice(before).map(({ cid }) => `${cid}`);
  expect(ahead).toContain(`${files.get('p01/m07.py')}`);
  expect(ahead).not.toContain(`${files.get('p01/m07.txt')}`);
  // A walk that reads nothing ends that.
  for (let at = 2; at < 40; at++) {
    const name = `p${String(at).padStart(2, '0')}`;
    await fileSystem.lookup(await directoryOf(fileSystem, node, name), Buffer.from('m00.py'), context);
  }
  expect(blocks.fetched.length - before).toBeLessThanOrEqual(4 * 20);
});

test('directories that are looked into and never listed are brought as small files are', async () => {
  const { blocks, node, fileSystem, directories } = await packages();
  blocks.makeRemote(...directories);
  for (let at = 0; at < 40; at++) {
    await directoryOf(fileSystem, node, `p${String((at * 7) % 40).padStart(2, '0')}`);
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  }
  expect(blocks.fetched.filter(({ priority }) => priority === 'demand').length).toBeLessThanOrEqual(4);
  expect(blocks.fetched.length).toBe(40);
});

/** Forty directories of twenty modules, each with a text beside it. */
async function packages() {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const files = new Map<string, CID>();
  const directories = Array.from({ length: 40 }, (_, at) => {
    const name = `p${String(at).padStart(2, '0')}`;
    const children = Array.from({ length: 40 }, (_, child) => {
      const own = `m${String(child >> 1).padStart(2, '0')}.${child % 2 ? 'txt' : 'py'}`;
      const { cid, size } = dag.rawPart(Buffer.alloc(2000, `${name}/${own} `));
      files.set(`${name}/${own}`, cid);
      return { name: own, cid, tsize: size };
    });
    return { name, cid: dag.directory(children), tsize: 1000 };
  });
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, dag.directory(directories));
  blocks.makeRemote(...files.values());
  return { blocks, files, node, fileSystem, directories: directories.map(({ cid }) => cid) };
}

type FileSystem = ReturnType<typeof fileSystemOver>;

async function directoryOf(fileSystem: FileSystem, root: NodeId, name: string): Promise<NodeId> {
  return (await fileSystem.lookup(root, Buffer.from(name), context)).attributes.node;
}

async function readFile(fileSystem: FileSystem, root: NodeId, directory: string, name: string): Promise<void> {
  const parent = await directoryOf(fileSystem, root, directory);
  const entry = await fileSystem.lookup(parent, Buffer.from(name), context);
  await fileSystem.read(entry.attributes.node, 0, 2000, context);
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}
