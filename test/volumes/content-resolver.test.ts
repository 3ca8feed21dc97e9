/** What a path leads to, by the blocks on this machine alone. */
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { contentResolver } from '../../src/volumes/content-resolver.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';

test('it is known where all that lies on the way is here, and nobody is asked where it is not', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const file = dag.raw(Buffer.from('text'));
  const below = dag.directory([{ name: 'file', cid: file }]);
  const root = dag.directory([{ name: 'below', cid: below }]);
  const names = { resolve: () => expect.unreachable('a name is asked for') };
  const resolver = contentResolver(new UnixfsReader(blocks), names, undefined, silentLogger());
  const reference = (...path: string[]) => ({ space: 'ipfs', cid: root, path }) as const;
  expect(await resolver.resolveHere(reference())).toEqual({ cid: root.toString(), kind: 'directory' });
  expect(await resolver.resolveHere(reference('below'))).toEqual({ cid: below.toString(), kind: 'directory' });
  expect(await resolver.resolveHere(reference('below', 'file'))).toEqual({ cid: file.toString(), kind: 'file' });
  expect(await resolver.resolveHere(reference('other'))).toBeUndefined();
  expect(await resolver.resolveHere({ space: 'ipns', name: 'example.org', path: [] })).toBeUndefined();

  blocks.makeRemote(below);
  expect(await resolver.resolveHere(reference('below'))).toBeUndefined();
  expect(blocks.fetched).toEqual([]);
  // And found as soon as it came.
  await blocks.get(below, { priority: 'demand' });
  expect(await resolver.resolveHere(reference('below'))).toEqual({ cid: below.toString(), kind: 'directory' });
});
