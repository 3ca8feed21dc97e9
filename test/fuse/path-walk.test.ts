/** From libfuse's paths to nodes: what was found is kept, and given back. */
import { expect, test } from 'vitest';
import { PathWalk } from '../../src/fuse/libfuse/path-walk.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { fileSystemOver, mountRoot, volumeSpec } from '../support/mount-content.ts';
import { context } from '../support/walk-file-system.ts';

async function setUp() {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const file = dag.rawPart(Buffer.from('content'));
  const below = dag.directory([{ name: 'file', cid: file.cid }]);
  const root = dag.directory([{ name: 'below', cid: below }]);
  const other = dag.directory([{ name: 'below', cid: dag.directory([]) }]);
  const fileSystem = fileSystemOver(blocks);
  fileSystem.forget(await mountRoot(fileSystem, root), 1);
  const asked: string[] = [];
  const counting = Object.create(fileSystem, {
    lookup: {
      value: (...[parent, name, by]: Parameters<typeof fileSystem.lookup>) => {
        asked.push(Buffer.from(name).toString());
        return fileSystem.lookup(parent, name, by);
      },
    },
    forget: { value: (node: number, count: number) => fileSystem.forget(node, count) },
  }) as typeof fileSystem;
  return { fileSystem, walk: new PathWalk(counting), asked, other };
}

test('below a name of the root everything is looked up once, also where nobody holds the volume in between', async () => {
  const { fileSystem, walk, asked } = await setUp();
  const nodes = new Set<number>();
  for (let times = 0; times < 5; times++) nodes.add(await walk.at('/v/below/file', context, ({ node }) => node));
  expect(nodes.size).toBe(1);
  expect(asked).toEqual(['v', 'below', 'file', 'v', 'v', 'v', 'v']);
  walk.clear();
  expect(fileSystem.nodeCount).toBe(0);
});

test('a name of the root that comes again with other content leads there, and the former nodes go with the walk', async () => {
  const { fileSystem, walk, other } = await setUp();
  await walk.at('/v/below/file', context, () => undefined);
  fileSystem.removeVolume('v');
  await expect((async () => walk.at('/v', context, () => undefined))()).rejects.toMatchObject({
    code: 'ENTRY_NOT_FOUND',
  });
  fileSystem.addVolume(volumeSpec(other));
  await expect((async () => walk.at('/v/below/file', context, () => undefined))()).rejects.toMatchObject({
    code: 'ENTRY_NOT_FOUND',
  });
  walk.clear();
  expect(fileSystem.nodeCount).toBe(0);
});
