/** Walking a tree that is not here: round trips by depth; looking at one directory: no more than that. */
import type { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import type { NodeId } from '../../../src/fs/file-system.ts';
import { BlockMap } from '../../support/block-map.ts';
import { DagBuilder } from '../../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../../support/mount-content.ts';
import { context, listAll } from '../../support/walk-file-system.ts';

/** Directories five wide and `levels` deep, each with a file of its own, none like another. */
function tree(dag: DagBuilder, levels: number, path: string, sharded: boolean): CID {
  const children = [{ name: 'file', cid: dag.part([], Buffer.from(path)).cid }];
  if (levels > 0) {
    for (let child = 0; child < 5; child++) {
      children.push({ name: `d${child}`, cid: tree(dag, levels - 1, `${path}/${child}`, sharded) });
    }
  }
  return sharded ? dag.hamt(children, 8) : dag.directory(children);
}

test.each([false, true])('a walk waits by levels and not by directories (sharded: %s)', async (sharded) => {
  const blocks = new BlockMap();
  const root = tree(new DagBuilder(blocks), 4, '', sharded);
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, root);
  blocks.makeAllRemote();

  let directories = 0;
  let waits = 0;
  const walk = async (directory: NodeId): Promise<void> => {
    directories++;
    const below: NodeId[] = [];
    const fetched = blocks.fetched.length;
    const listing = fileSystem.list(
      directory,
      0,
      true,
      ({ kind, node: child }) => {
        if (kind === 'directory') below.push(child);
        return true;
      },
      context,
    );
    // A promise alone is no wait: a sharded directory is listed in a later turn even where all of it is here.
    if (listing instanceof Promise && (!sharded || blocks.fetched.length > fetched)) waits++;
    await listing;
    for (const child of below) await walk(child);
  };
  await walk(node);
  expect(directories).toBe(1 + 5 + 25 + 125 + 625);
  expect(waits).toBeLessThan(directories / 8);
});

test('listing one directory, or two that are not one below the other, fetches their children alone', async () => {
  const blocks = new BlockMap();
  const root = tree(new DagBuilder(blocks), 3, '', false);
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, root);
  blocks.makeAllRemote();
  await listAll(fileSystem, node, true);
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  expect(blocks.fetched.length).toBe(6);
});

test('nobody runs ahead of whoever lists what a boot profile names', async () => {
  const blocks = new BlockMap();
  const root = tree(new DagBuilder(blocks), 3, '', false);
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, root);
  const volume = fileSystem.volume('v');
  if (!volume) throw new Error('it is mounted');
  blocks.makeAllRemote();
  const below = await listAll(fileSystem, node, true);
  const walkInto = async (name: string) => {
    const before = blocks.fetched.length;
    await listAll(fileSystem, below.find((entry) => entry.name === name)?.node ?? 0, true);
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    return blocks.fetched.length - before;
  };
  volume.foretold = { has: () => true };
  expect(await walkInto('d0')).toBe(6);
  volume.foretold = { has: () => false };
  expect(await walkInto('d1')).toBeGreaterThan(6);
});

test('a walk that ends leaves a bounded number of blocks on their way', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const many = Array.from({ length: 5000 }, (_, index) => ({
    name: `d${index}`,
    cid: dag.directory([{ name: 'f', cid: dag.part([], Buffer.from(`${index}`)).cid }]),
  }));
  const root = dag.directory([{ name: 'sub', cid: dag.directory(many) }]);
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, root);
  blocks.makeAllRemote();
  const [sub] = await listAll(fileSystem, node, true);
  await fileSystem.list(sub?.node ?? 0, 0, true, () => false, context);
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate);
  // The lister's own 256 and 2048 ahead, and the walk's allowance.
  expect(blocks.fetched.length).toBeLessThan(256 + 2 * 2048 + 10);
});

test('listing some of the directories of another, as an interpreter does that imports packages, fetches little more', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const packages = Array.from({ length: 60 }, (_, at) => {
    const parts = Array.from({ length: 40 }, (_, part) => ({
      name: `p${part}`,
      cid: dag.directory([{ name: 'f', cid: dag.raw(Buffer.from(`${at} ${part}`)) }]),
    }));
    return { name: `d${String(at).padStart(2, '0')}`, cid: dag.directory(parts) };
  });
  const fileSystem = fileSystemOver(blocks);
  const node = await mountRoot(fileSystem, dag.directory(packages));
  blocks.makeAllRemote();
  const found = await listAll(fileSystem, node, true, 100);
  const imported = Array.from({ length: 20 }, (_, index) => (index * 23 + 7) % 60);
  for (const at of imported) {
    await listAll(fileSystem, found[at]?.node ?? 0, true, 100);
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  }
  // Of 2461 blocks those that were listed, and eight more for each listing.
  expect(blocks.fetched.length).toBeLessThan(61 + imported.length * (40 + 8) + 1);
});

test('a tree that is here as a whole is looked into little further than the walker goes', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const many = Array.from({ length: 3000 }, (_, index) => ({
    name: `d${index}`,
    cid: dag.directory([{ name: 'x', cid: dag.directory([{ name: 'f', cid: dag.raw(Buffer.from(`${index}`)) }]) }]),
  }));
  const root = dag.directory([{ name: 'sub', cid: dag.directory(many) }]);
  let decoded = 0;
  const counted = new Proxy(blocks, {
    get(target, property) {
      if (property === 'get') decoded++;
      const value = Reflect.get(target, property);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const fileSystem = fileSystemOver(counted);
  const node = await mountRoot(fileSystem, root);
  const [sub] = await listAll(fileSystem, node, true);
  const children = await listAll(fileSystem, sub?.node ?? 0, true, 3000);
  const before = decoded;
  for (const { node: child } of children.slice(0, 100)) await listAll(fileSystem, child, true);
  // The hundred below those, and what the walk is allowed.
  expect(decoded - before).toBeLessThan(100 + 256 + 2 * 100 + 50);
});
