/** Node numbers: what is one node and what two, look-up counts, attributes, volumes coming and going. */
import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../src/fs/file-system.ts';
import type { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import { BlockMap } from '../support/block-map.ts';
import { DAG_CBOR, DagBuilder, TYPE } from '../support/dag-builder.ts';
import { fileSystemOver, mountRoot, volumeSpec } from '../support/mount-content.ts';
import { context, listAll, walk } from '../support/walk-file-system.ts';

function setUp(options: Parameters<typeof fileSystemOver>[1] = {}) {
  const blocks = new BlockMap();
  return { blocks, dag: new DagBuilder(blocks), fileSystem: fileSystemOver(blocks, options) };
}

async function at(fileSystem: IpfsFileSystem, node: NodeId, name: string) {
  return (await fileSystem.lookup(node, Buffer.from(name), context)).attributes;
}

describe('what is one node', () => {
  test('a file is one node wherever it stands, a directory one for each place', async () => {
    const { dag, fileSystem } = setUp();
    const file = dag.part([], Buffer.from('same')).cid;
    const sub = dag.directory([{ name: 'f', cid: file }]);
    const root = dag.directory([
      { name: 'a', cid: sub },
      { name: 'b', cid: sub },
      { name: 'f', cid: file },
    ]);
    const one = await mountRoot(fileSystem, root, { name: 'one' });
    const two = await mountRoot(fileSystem, root, { name: 'two' });
    const a = await at(fileSystem, one, 'a');
    const b = await at(fileSystem, one, 'b');
    expect(a.node).not.toBe(b.node);
    expect(one).not.toBe(two);
    const files = await Promise.all([
      at(fileSystem, one, 'f'),
      at(fileSystem, a.node, 'f'),
      at(fileSystem, b.node, 'f'),
      at(fileSystem, two, 'f'),
    ]);
    expect(new Set(files.map(({ node }) => node)).size).toBe(1);
  });

  test('another owner or mode option is another node; another codec of the same bytes too', async () => {
    const { dag, fileSystem } = setUp();
    const bytes = Buffer.from('same');
    const root = dag.directory([
      { name: 'raw', cid: dag.raw(bytes), tsize: 4 },
      { name: 'cbor', cid: dag.block(DAG_CBOR, bytes) },
    ]);
    const one = await mountRoot(fileSystem, root, { name: 'one' });
    const two = await mountRoot(fileSystem, root, { name: 'two', uid: 1000, fileMode: 0o600 });
    const numbers = [
      (await at(fileSystem, one, 'raw')).node,
      (await at(fileSystem, two, 'raw')).node,
      (await at(fileSystem, one, 'cbor')).node,
    ];
    expect(new Set(numbers).size).toBe(3);
    expect(await at(fileSystem, two, 'raw')).toMatchObject({ uid: 1000, gid: 0, mode: 0o600 });
  });

  test('forgotten look-ups give every node back', async () => {
    const { dag, fileSystem } = setUp();
    const root = dag.directory([
      { name: 'raw', cid: dag.raw(Buffer.from('x')), tsize: 1 },
      { name: 'sub', cid: dag.directory([]) },
    ]);
    const node = await mountRoot(fileSystem, root);
    const raw = await at(fileSystem, node, 'raw');
    await at(fileSystem, node, 'raw');
    const listed = await listAll(fileSystem, node, true);
    expect(fileSystem.nodeCount).toBe(3);
    fileSystem.forget(raw.node, 2);
    expect((await fileSystem.attributes(raw.node, context)).sizeBytes).toBe(1);
    fileSystem.forget(raw.node, 1);
    expect(() => fileSystem.attributes(raw.node, context)).toThrow(expect.objectContaining({ code: 'BAD_HANDLE' }));
    fileSystem.forget(listed.find(({ name }) => name === 'sub')?.node ?? 0, 1);
    fileSystem.forget(node, 1);
    fileSystem.forget(12_345, 1);
    expect(fileSystem.nodeCount).toBe(0);
  });

  test('a listing counts a look-up for the entries taken with attributes, and keeps no node for the others', async () => {
    const { dag, fileSystem } = setUp();
    const children = ['a', 'b', 'c'].map((name) => ({ name, cid: dag.raw(Buffer.from(name)), tsize: 1 }));
    const node = await mountRoot(fileSystem, dag.directory(children));
    let taken = 0;
    await fileSystem.list(node, 0, true, () => ++taken < 2, context);
    expect(fileSystem.nodeCount).toBe(2);
    await listAll(fileSystem, node, false);
    expect(fileSystem.nodeCount).toBe(2);
  });
});

describe('attributes', () => {
  test('modes, times and owners: of the content where it has them, else of the volume', async () => {
    const { dag, fileSystem } = setUp();
    const mtime = { seconds: -5, nanoseconds: 7 };
    const root = dag.directory(
      [
        { name: 'bits', cid: dag.part([], Buffer.from('x'), { mode: 0o7755, mtime }).cid },
        { name: 'link', cid: dag.symlink('../target', { mtime }) },
        { name: 'none', cid: dag.part([], Buffer.from('y')).cid },
      ],
      { mode: 0o1711 },
    );
    const node = await mountRoot(fileSystem, root, { uid: 1, gid: 2, fileMode: 0o4640 });
    expect(await fileSystem.attributes(node, context)).toMatchObject({
      kind: 'directory',
      mode: 0o711,
      uid: 1,
      gid: 2,
    });
    const time = { mtimeSeconds: -5, mtimeNanoseconds: 7 };
    expect(await at(fileSystem, node, 'bits')).toMatchObject({ mode: 0o755, sizeBytes: 1, ...time });
    expect(await at(fileSystem, node, 'link')).toMatchObject({ kind: 'symlink', mode: 0o777, sizeBytes: 9, ...time });
    expect(await at(fileSystem, node, 'none')).toMatchObject({ mode: 0o640, mtimeSeconds: 0, mtimeNanoseconds: 0 });
  });

  test('symlinks are verbatim, whatever bytes they are', async () => {
    const { dag, fileSystem } = setUp();
    const targets = ['/etc/passwd', '../../..', Buffer.from([0xff, 0xe9, 0x2f]), ''];
    const root = dag.directory(targets.map((target, index) => ({ name: `l${index}`, cid: dag.symlink(target) })));
    const node = await mountRoot(fileSystem, root);
    for (const [index, target] of targets.entries()) {
      const link = await at(fileSystem, node, `l${index}`);
      expect(Buffer.from(await fileSystem.readLink(link.node, context)).equals(Buffer.from(target))).toBe(true);
    }
    expect(() => fileSystem.readLink(node, context)).toThrow(expect.objectContaining({ code: 'NOT_A_SYMLINK' }));
  });

  test('xattr user.ipfs.cid where it is turned on, nothing where it is not', async () => {
    for (const extendedAttributes of [true, false]) {
      const { dag, fileSystem } = setUp({ extendedAttributes });
      const root = dag.directory([]);
      const node = await mountRoot(fileSystem, root);
      expect(fileSystem.listExtendedAttributes(node)).toEqual(extendedAttributes ? ['user.ipfs.cid'] : []);
      expect(fileSystem.listExtendedAttributes(1)).toEqual([]);
      const missing = expect.objectContaining({ code: 'NO_ATTRIBUTE' });
      expect(() => fileSystem.getExtendedAttribute(node, 'user.other', context)).toThrow(missing);
      expect(() => fileSystem.getExtendedAttribute(1, 'user.ipfs.cid', context)).toThrow(missing);
      if (extendedAttributes) {
        const value = await fileSystem.getExtendedAttribute(node, 'user.ipfs.cid', context);
        expect(Buffer.from(value).toString()).toBe(root.toString());
      } else {
        expect(() => fileSystem.getExtendedAttribute(node, 'user.ipfs.cid', context)).toThrow(missing);
      }
    }
  });

  test('statistics are not 0', () => {
    const { blockSize, totalBytes, fileCount } = setUp().fileSystem.statistics();
    expect(Math.min(blockSize, totalBytes, fileCount)).toBeGreaterThan(0);
  });

  test('errors by their codes', async () => {
    const { dag, fileSystem } = setUp();
    const node = await mountRoot(fileSystem, dag.directory([{ name: 'f', cid: dag.raw(Buffer.from('x')), tsize: 1 }]));
    const file = (await at(fileSystem, node, 'f')).node;
    const cases: [string, () => unknown][] = [
      ['ENTRY_NOT_FOUND', () => fileSystem.lookup(node, Buffer.from('nope'), context)],
      ['ENTRY_NOT_FOUND', () => fileSystem.lookup(1, Buffer.from('nope'), context)],
      ['NOT_A_DIRECTORY', () => fileSystem.lookup(file, Buffer.from('x'), context)],
      ['NOT_A_DIRECTORY', () => fileSystem.list(file, 0, true, () => true, context)],
      ['NAME_TOO_LONG', () => fileSystem.lookup(node, Buffer.alloc(256, 'n'), context)],
      ['IS_A_DIRECTORY', () => fileSystem.read(node, 0, 1, context)],
      ['IS_A_DIRECTORY', () => fileSystem.read(1, 0, 1, context)],
      ['NOT_A_SYMLINK', () => fileSystem.readLink(file, context)],
      ['BAD_HANDLE', () => fileSystem.attributes(999, context)],
      ['BAD_HANDLE', () => fileSystem.lookup(999, Buffer.from('x'), context)],
    ];
    for (const [code, work] of cases) expect(work).toThrow(expect.objectContaining({ code }));
    expect(fileSystem.volume('v')).toMatchObject({ lastError: null, counters: { errors: 0 } });
  });
});

describe('volumes', () => {
  test('adding one needs no block, and its name is there at once', async () => {
    const { blocks, dag, fileSystem } = setUp();
    const root = dag.directory([]);
    blocks.makeSilent(root);
    fileSystem.addVolume(volumeSpec(root, { name: 'slow' }));
    fileSystem.addVolume(volumeSpec(root, { name: 'known', kind: 'directory' }));
    const listed = await listAll(fileSystem, 1, true, 1);
    expect(listed.map(({ name, kind }) => [name, kind])).toEqual([
      ['slow', undefined],
      ['known', 'directory'],
    ]);
    expect(blocks.fetched).toEqual([]);
    expect(() => fileSystem.addVolume(volumeSpec(root, { name: 'slow' }))).toThrow(
      expect.objectContaining({ code: 'VOLUME_EXISTS' }),
    );
  });

  test('a name is changeable, goes when it is removed, and may come back with other content', async () => {
    const { dag, fileSystem } = setUp();
    const [first, second] = [
      dag.directory([{ name: 'one', cid: dag.raw(Buffer.from('1')), tsize: 1 }]),
      dag.directory([]),
    ];
    const old = await mountRoot(fileSystem, first);
    expect(await fileSystem.lookup(1, Buffer.from('v'), context)).toMatchObject({
      changeable: true,
      attributes: { changeable: false },
    });
    expect(await fileSystem.attributes(1, context)).toMatchObject({ changeable: true });
    expect(fileSystem.removeVolume('v')).toBe(true);
    expect(fileSystem.removeVolume('v')).toBe(false);
    expect(() => fileSystem.lookup(1, Buffer.from('v'), context)).toThrow(
      expect.objectContaining({ code: 'ENTRY_NOT_FOUND' }),
    );
    expect(await listAll(fileSystem, 1, true)).toEqual([]);
    const next = await mountRoot(fileSystem, second);
    expect(next).not.toBe(old);
    // Who has the old one open goes on.
    expect((await listAll(fileSystem, old, true)).map(({ name }) => name)).toEqual(['one']);
  });

  test.each([
    ['raw', (dag: DagBuilder) => dag.raw(Buffer.from('one file'))],
    ['dag-pb', (dag: DagBuilder) => dag.part([dag.rawPart(Buffer.from('one ')), dag.rawPart(Buffer.from('file'))]).cid],
    ['of type raw', (dag: DagBuilder) => dag.part([], Buffer.from('one file'), { type: TYPE.raw }).cid],
  ])('one file as a volume: %s', async (_name, make) => {
    const { dag, fileSystem } = setUp();
    const node = await mountRoot(fileSystem, make(dag));
    expect(await walk(fileSystem, node)).toMatchObject({ kind: 'file', bytes: 'one file' });
    expect(fileSystem.volume('v')?.kind).toBe('file');
  });

  test('cursors of the root hold while names come and go', async () => {
    const { dag, fileSystem } = setUp();
    const root = dag.directory([]);
    for (const name of ['a', 'b', 'c']) fileSystem.addVolume(volumeSpec(root, { name }));
    let cursor = 0;
    const seen: string[] = [];
    const next = () =>
      fileSystem.list(
        1,
        cursor,
        false,
        (entry) => {
          if (cursor !== 0 && seen.length === 2) return false;
          seen.push(Buffer.from(entry.name).toString());
          cursor = entry.nextCursor;
          return seen.length < 1;
        },
        context,
      );
    await next();
    fileSystem.removeVolume('a');
    fileSystem.addVolume(volumeSpec(root, { name: 'd' }));
    expect(seen).toEqual(['a']);
    const rest: string[] = [];
    await fileSystem.list(1, cursor, false, (entry) => rest.push(Buffer.from(entry.name).toString()) > 0, context);
    expect(rest).toEqual(['b', 'c', 'd']);
  });
});
