/** What is told of a directory without a request: files of endings that are known to be read, where all listings are here. */
import type { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { alikeBelow } from '../../../src/fs/ahead/alike-below.ts';
import { contentKey } from '../../../src/unixfs/content-key.ts';
import { UnixfsReader } from '../../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../../support/block-map.ts';
import { DagBuilder } from '../../support/dag-builder.ts';

const MIB = 1024 * 1024;

function setUp() {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const unixfs = new UnixfsReader(blocks);
  const file = (name: string, bytes = 100) => {
    const { cid, size } = dag.rawPart(Buffer.alloc(bytes, name));
    return { name, cid, tsize: size };
  };
  const cache = dag.directory([file('a.opt-1.pyc'), file('a.pyc'), file('b.pyc'), file('huge.pyc', MIB)]);
  const root = dag.directory([file('a.py'), { name: 'cache', cid: cache }, file('other.pyc')]);
  const know = (...cids: CID[]) => cids.map((cid) => unixfs.entry(contentKey(cid), { priority: 'metadata' }));
  const names = (cid: CID, ...endings: string[]) =>
    alikeBelow(unixfs, contentKey(cid), new Set(endings))?.map(({ key, table, links }) => [
      key === contentKey(cid) ? '' : 'cache',
      ...links.map((link) => Buffer.from(table.name(link)).toString()),
    ]);
  return { dag, cache, root, know, names, file };
}

test('small files of those endings, in each directory below', () => {
  const { root, cache, know, names } = setUp();
  know(root, cache);
  expect(names(root, '.pyc')).toEqual([
    ['', 'other.pyc'],
    ['cache', 'a.pyc', 'b.pyc'],
  ]);
  expect(names(root, '.py', '.opt-1.pyc')).toEqual([
    ['', 'a.py'],
    ['cache', 'a.opt-1.pyc'],
  ]);
});

test('nothing where none is called so, or a listing is not here', () => {
  const { root, cache, know, names } = setUp();
  know(root);
  expect(names(root, '.pyc')).toBeUndefined();
  know(cache);
  expect(names(root, '.js')).toBeUndefined();
  expect(names(root)).toBeUndefined();
});

test('nothing of trees that are deeper or wider than a package', () => {
  const { dag, file, know, names } = setUp();
  let deep = dag.directory([file('a.pyc')]);
  know(deep);
  for (let level = 1; level < 4; level++) {
    expect(names(deep, '.pyc')).toHaveLength(1);
    deep = dag.directory([{ name: 'd', cid: deep }]);
    know(deep);
  }
  expect(names(deep, '.pyc')).toBeUndefined();
  const wide = dag.directory(Array.from({ length: 5000 }, (_, at) => file(`${at}.pyc`, 1)));
  know(wide);
  expect(names(wide, '.pyc')).toBeUndefined();
});
