/** Packages beside each other, looked into one after the other: how often a reader waits, and what is asked for. */
import { code as DAG_PB, decode } from '@ipld/dag-pb';
import type { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import { blockKey } from '../../../src/blocks/block.ts';
import type { NodeId } from '../../../src/fs/file-system.ts';
import { type ContentKey, contentKey } from '../../../src/unixfs/content-key.ts';
import { BlockMap } from '../../support/block-map.ts';
import { DagBuilder } from '../../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../../support/mount-content.ts';
import { context, listAll } from '../../support/walk-file-system.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const PATHS = ['package.json', 'dist/src/index.js', 'dist/src/util.js'];

/** `sizes` packages of so many bytes: `p00/package.json`, `p00/dist/src/index.js`. */
async function setUp(sizes: readonly number[], { sendsTrees = true, isHere = false } = {}) {
  const blocks = new BlockMap();
  blocks.sendsTrees = sendsTrees;
  const dag = new DagBuilder(blocks);
  const packages = sizes.map((sizeBytes, at) => {
    const name = `p${String(at).padStart(2, '0')}`;
    const file = (own: string, bytes: number) => {
      const { cid, size } = dag.rawPart(Buffer.alloc(bytes, `${name}/${own} `));
      return { name: own, cid, tsize: size };
    };
    const src = dag.directory([file('index.js', 1000), file('util.js', 1000), file('other.txt', sizeBytes - 3000)]);
    const dist = dag.directory([{ name: 'src', cid: src, tsize: sizeBytes - 1000 }]);
    const children = [{ name: 'dist', cid: dist, tsize: sizeBytes - 1000 }, file('package.json', 1000)];
    return { name, cid: dag.directory(children), tsize: sizeBytes };
  });
  const fileSystem = fileSystemOver(blocks);
  const root = await mountRoot(fileSystem, dag.directory(packages));
  if (!isHere) {
    const rootCid = dag.directory(packages);
    blocks.makeAllRemote();
    await blocks.get(rootCid, { priority: 'demand' });
    blocks.fetched.length = 0;
  }
  const find = async (from: NodeId, path: string): Promise<NodeId> => {
    let node = from;
    for (const name of path.split('/')) {
      node = (await fileSystem.lookup(node, Buffer.from(name), context)).attributes.node;
      await settled();
    }
    return node;
  };
  /** Reads what a program reads of a package; gives how often it waited. */
  const use = async (name: string): Promise<number> => {
    const before = waits();
    const directory = await find(root, name);
    for (const path of PATHS) {
      await fileSystem.read(await find(directory, path), 0, 1000, context);
      await settled();
    }
    return waits() - before;
  };
  const waits = () => blocks.fetched.filter(({ priority }) => priority === 'demand').length;
  const asked = () => blocks.trees.map(({ root: cid }) => packages.find((each) => each.cid.equals(cid))?.name);
  return { blocks, fileSystem, root, packages, use, find, asked };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}

describe('small packages', () => {
  test('cost one wait, and those beside them hardly any', async () => {
    const { use } = await setUp(new Array(20).fill(20 * KIB));
    const waited: number[] = [];
    for (let at = 0; at < 20; at++) waited.push(await use(`p${String(at).padStart(2, '0')}`));
    // The first wait pays for 256 KiB, which is twelve of them; the second for the rest.
    expect(waited.slice(0, 12)).toEqual([1, ...new Array(11).fill(0)]);
    expect(waited.reduce((sum, waits) => sum + waits, 0)).toBe(2);
  });

  test('cost more where no source sends a directory whole, and none twice', async () => {
    const { use, blocks } = await setUp(new Array(20).fill(20 * KIB), { sendsTrees: false });
    expect(await use('p00')).toBe(4);
    for (let at = 1; at < 20; at++) await use(`p${String(at).padStart(2, '0')}`);
    const fetched = blocks.fetched.map(({ cid }) => `${cid}`);
    // A directory's own block is wanted by who looks, and by what brings it ahead: one want of the queue's.
    expect(fetched.length - new Set(fetched).size).toBeLessThanOrEqual(1);
  });

  test('that only a listing brought come whole when they are looked into', async () => {
    const { fileSystem, root, use, asked } = await setUp([20 * KIB, 20 * KIB, 20 * KIB]);
    await listAll(fileSystem, root, true, 100);
    expect(asked()).toEqual([]);
    expect(await use('p01')).toBe(1);
    expect(await use('p02')).toBe(0);
    expect(asked()).toContain('p02');
  });

  test('the smallest are brought first', async () => {
    const { use, asked } = await setUp([200, 50, 250, 100, 150].map((kib) => kib * KIB));
    await use('p01');
    // 256 KiB for the first wait.
    expect(asked().slice(0, 3)).toEqual(['p01', 'p03', 'p04']);
  });
});

test('nothing is asked for by itself that comes within a whole', async () => {
  const { use, blocks, find, root, packages } = await setUp(new Array(3).fill(300 * KIB));
  await use('p00');
  blocks.trees.length = 0;
  blocks.treeTurns = 1000;
  await find(root, 'p01/dist/src/index.js');
  expect(blocks.trees.map(({ root: cid }) => `${cid}`)).toEqual([`${packages[1]?.cid}`]);
});

test('where every listing is here, files called as those that were waited for come instead of the whole', async () => {
  const { use, blocks, find, root, fileSystem } = await setUp(new Array(3).fill(300 * KIB), { sendsTrees: false });
  await use('p00');
  blocks.sendsTrees = true;
  let node = await find(root, 'p01');
  for (let level = 0; level < 2; level++)
    node = (await listAll(fileSystem, node, true)).find(({ kind }) => kind === 'directory')?.node ?? 0;
  blocks.trees.length = 0;
  blocks.fetched.length = 0;
  await find(root, 'p01/dist/src/index.js');
  expect(blocks.trees).toEqual([]);
  // Both scripts, and not the text beside them.
  expect(blocks.fetched.map(({ priority }) => priority)).toEqual(['readahead', 'readahead']);
});

test('of packages too large for that comes what was opened in two of them', async () => {
  const { use, fileSystem, find, root, blocks } = await setUp(new Array(12).fill(900 * KIB), { sendsTrees: false });
  await use('p00');
  await use('p01');
  const package7 = await find(root, 'p07');
  const before = blocks.fetched.length;
  await fileSystem.read(await find(package7, 'package.json'), 0, 1000, context);
  expect(blocks.fetched.length).toBe(before);
});

test('a large package comes whole once a reader has waited often', async () => {
  const { use, asked } = await setUp(new Array(12).fill(900 * KIB));
  expect(await use('p00')).toBe(4);
  expect(asked()).not.toContain('p00');
  await use('p01');
  expect(await use('p11')).toBeLessThanOrEqual(2);
  expect(asked()).toContain('p11');
});

test('who looks into everything and reads nothing has a bounded amount brought', async () => {
  const { find, root, blocks } = await setUp(new Array(90).fill(1000 * KIB));
  for (let at = 0; at < 90; at++) await find(root, `p${String(at).padStart(2, '0')}/dist/src/other.txt`);
  const bytes = blocks.trees.reduce((sum, { treeBytes }) => sum + treeBytes, 0);
  expect(bytes).toBeGreaterThan(8 * MIB);
  expect(bytes).toBeLessThanOrEqual(32 * MIB);
});

test('nothing is guessed of what a boot profile names', async () => {
  const { use, blocks, fileSystem, packages } = await setUp(new Array(3).fill(20 * KIB));
  const volume = fileSystem.volume('v');
  if (!volume) throw new Error('it is mounted');
  // All of the first package, and nothing of the others.
  const named = new Set<ContentKey>();
  const name = (cid: CID) => {
    named.add(contentKey(cid));
    if (cid.code === DAG_PB)
      for (const { Hash } of decode(blocks.blocks.get(blockKey(cid)) as Uint8Array).Links) name(Hash);
  };
  name(packages[0]?.cid as CID);
  volume.foretold = named;
  await use('p00');
  expect(blocks.trees).toEqual([]);
  expect(blocks.fetched.every(({ priority }) => priority === 'demand')).toBe(true);
  await use('p01');
  expect(blocks.trees).not.toEqual([]);
});

test('nothing is asked for where everything is here', async () => {
  const { use, blocks } = await setUp(new Array(20).fill(20 * KIB), { isHere: true });
  for (let at = 0; at < 20; at++) expect(await use(`p${String(at).padStart(2, '0')}`)).toBe(0);
  expect(blocks.trees).toEqual([]);
});

test('who claims nothing of large directories has no more of them brought than anybody', async () => {
  const blocks = new BlockMap();
  blocks.sendsTrees = true;
  const dag = new DagBuilder(blocks);
  const { cid } = dag.rawPart(Buffer.alloc(MIB));
  const directories = Array.from({ length: 600 }, (_, at) => {
    return { name: `d${at}`, cid: dag.directory([{ name: `large ${at}`, cid, tsize: 0 }]), tsize: 0 };
  });
  const fileSystem = fileSystemOver(blocks);
  const root = await mountRoot(fileSystem, dag.directory(directories));
  blocks.makeRemote(...directories.map((each) => each.cid));
  for (const { name } of directories) {
    await fileSystem.lookup(root, Buffer.from(name), context);
    await settled();
  }
  // 256 KiB for the first wait, at a KiB for each; when those have come there is no more to be had for a guess.
  expect(blocks.trees.length).toBeLessThanOrEqual(256 + 1);
});

test('a source that sends no directory whole leaves the allowance to the files beside', async () => {
  const { find, root, blocks } = await setUp(new Array(90).fill(1000 * KIB), { sendsTrees: false });
  for (let at = 0; at < 90; at++) await find(root, `p${String(at).padStart(2, '0')}/dist/src/other.txt`);
  const bytes = blocks.trees.reduce((sum, { treeBytes }) => sum + treeBytes, 0);
  expect(bytes).toBeGreaterThan(40 * MIB);
});

test('a wait among thousands of directories that are here asks after a few of them', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const directories = Array.from({ length: 3000 }, (_, at) => {
    const { cid, size } = dag.rawPart(Buffer.from(`${at}`));
    return { name: `d${at}`, cid: dag.directory([{ name: 'file', cid, tsize: size }]), tsize: 100 };
  });
  const fileSystem = fileSystemOver(blocks);
  const root = await mountRoot(fileSystem, dag.directory(directories));
  for (const { name, cid } of directories.slice(0, 3)) {
    blocks.makeRemote(cid);
    blocks.hasCalls = 0;
    await fileSystem.lookup(root, Buffer.from(name), context);
    await settled();
    expect(blocks.hasCalls).toBeLessThan(1000);
  }
});

test('a directory that does not decode fails for who looks into it, and for nobody else', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const good = dag.rawPart(Buffer.from('good'));
  const bad: CID = dag.directory([{ name: 'x', cid: good.cid, tsize: 4 }]);
  const root = dag.directory([
    { name: 'bad', cid: bad, tsize: 100 },
    { name: 'good', cid: good.cid, tsize: 4 },
  ]);
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, root);
  blocks.put(bad, Buffer.from([0xff, 0xff, 0xff]));
  blocks.makeRemote(good.cid);
  const { node: file } = (await fileSystem.lookup(node, Buffer.from('good'), context)).attributes;
  await fileSystem.read(file, 0, 4, context);
  await expect(async () => fileSystem.lookup(node, Buffer.from('bad'), context)).rejects.toMatchObject({
    code: 'DAG_INVALID',
  });
  await settled();
  expect(Buffer.concat(await fileSystem.read(file, 0, 4, context)).toString()).toBe('good');
});
