/** Content made by other projects, as an independent reader sees it (../shared/fixtures, where it is there). */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CarReader } from '@ipld/car';
import { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import type { NodeId } from '../../src/fs/file-system.ts';
import type { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { decodeDagNode } from '../../src/unixfs/dag-node.ts';
import { resolvePath } from '../../src/unixfs/resolve-path.ts';
import { decodeUnixfsEntry } from '../../src/unixfs/unixfs-entry.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../support/block-map.ts';
import { describeWith } from '../support/machine.ts';
import { fileSystemOver, mountRoot } from '../support/mount-content.ts';
import { context, listAll, readBytes } from '../support/walk-file-system.ts';

const fixtures = resolve('../shared/fixtures');

interface Expected {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'object' | 'raw';
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly readError?: string;
}

async function blocksOf(car: string): Promise<BlockMap> {
  const blocks = new BlockMap();
  const reader = await CarReader.fromBytes(readFileSync(resolve(fixtures, 'cars', car)));
  for await (const { cid, bytes } of reader.blocks()) blocks.put(cid, bytes);
  return blocks;
}

/** `path` → what is there, in the shape of expected.json. */
async function describeTree(fileSystem: IpfsFileSystem, node: NodeId, path = ''): Promise<Expected[]> {
  const { kind, sizeBytes } = await fileSystem.attributes(node, context);
  const here = path === '' ? '/' : path;
  if (kind === 'symlink') {
    return [{ path: here, type: 'symlink', target: Buffer.from(await fileSystem.readLink(node, context)).toString() }];
  }
  if (kind === 'file') {
    try {
      const bytes = await readBytes(fileSystem, node, 0, sizeBytes);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return [{ path: here, type: 'file', size: sizeBytes, sha256 }];
    } catch (error) {
      return [{ path: here, type: 'file', size: sizeBytes, readError: (error as CodedError).code }];
    }
  }
  const found: Expected[] = [{ path: here, type: 'directory' }];
  for (const { name } of await listAll(fileSystem, node, true, 100)) {
    const bytes = Buffer.from(name, 'latin1');
    const entry = await fileSystem.lookup(node, bytes, context);
    found.push(...(await describeTree(fileSystem, entry.attributes.node, `${path}/${bytes}`)));
  }
  return found;
}

describeWith(['fixtures'], 'fixtures of other projects', () => {
  const expected: Record<string, { root: string; entries?: Expected[] }> = JSON.parse(
    readFileSync(resolve(fixtures, 'expected.json'), 'utf8'),
  );

  for (const [car, { root, entries = [] }] of Object.entries(expected)) {
    if (car.startsWith('root-')) {
      test(`${car}: refused as no UnixFS`, async () => {
        const unixfs = new UnixfsReader(await blocksOf(car));
        await expect(resolvePath(unixfs, CID.parse(root), [], { priority: 'demand' })).rejects.toMatchObject({
          code: 'NOT_UNIXFS',
        });
      });
      continue;
    }
    test(`${car}: the same tree`, async () => {
      const fileSystem = fileSystemOver(await blocksOf(car));
      const shown = await describeTree(fileSystem, await mountRoot(fileSystem, CID.parse(root)));
      const byPath = new Map(shown.map((entry) => [entry.path, entry]));
      const visible = entries.filter(({ path }) => !path.includes('..'));
      expect([...byPath.keys()].sort()).toEqual(visible.map(({ path }) => path).sort());
      expect(shown.length).toBe(byPath.size);
      for (const { path, type, size, sha256, target, readError } of visible) {
        const entry = byPath.get(path);
        if (type === 'object') expect(entry).toMatchObject({ type: 'file' });
        else if (readError !== undefined) expect(entry).toMatchObject({ type: 'file', readError: 'BLOCK_UNAVAILABLE' });
        else if (type === 'symlink') expect(entry).toMatchObject({ type, target });
        else if (type === 'directory') expect(entry).toMatchObject({ type });
        else expect(entry).toMatchObject({ type: 'file', size, sha256 });
      }
    });
  }

  test('missing-middle-block.car: the first and the last leaf are read, the middle fails', async () => {
    const car = 'missing-middle-block.car';
    const { root = '', entries = [] } = expected[car] ?? {};
    const fileSystem = fileSystemOver(await blocksOf(car));
    let node = await mountRoot(fileSystem, CID.parse(root));
    for (const segment of (entries.find(({ size }) => size === 3072)?.path ?? '').split('/').filter(Boolean)) {
      node = (await fileSystem.lookup(node, Buffer.from(segment), context)).attributes.node;
    }
    await expect(readBytes(fileSystem, node, 0, 3072)).rejects.toMatchObject({ code: 'BLOCK_UNAVAILABLE' });
    expect((await readBytes(fileSystem, node, 0, 1024)).length).toBe(1024);
    await expect(readBytes(fileSystem, node, 1024, 1024)).rejects.toMatchObject({ code: 'BLOCK_UNAVAILABLE' });
    expect((await readBytes(fileSystem, node, 2048, 1024)).length).toBe(1024);
  });

  test('hamt-1000.car: a look-up reads the shards on its path alone', async () => {
    const blocks = await blocksOf('hamt-1000.car');
    const fileSystem = fileSystemOver(blocks);
    const node = await mountRoot(fileSystem, CID.parse(expected['hamt-1000.car']?.root ?? ''));
    blocks.makeAllRemote();
    await fileSystem.lookup(node, Buffer.from('997.txt'), context);
    // A shard below the root, and the file's own root block.
    expect(blocks.fetched.length).toBeLessThanOrEqual(3);
  });

  for (const file of readdirSync(resolve(fixtures, 'dag-pb-blocks')).filter((name) => name.endsWith('.dag-pb'))) {
    test(`${file}: an entry or DAG_INVALID`, () => {
      const cid = CID.parse(file.split('--')[1]?.replace('.dag-pb', '') ?? '');
      const bytes = readFileSync(resolve(fixtures, 'dag-pb-blocks', file));
      expect(decodeDagNode(bytes).links.count).toBe(
        Number(/_(\d+)(?:un)?(?:named)?link/.exec(file)?.[1] ?? decodeDagNode(bytes).links.count),
      );
      try {
        const entry = decodeUnixfsEntry(contentKey(cid), bytes);
        if (file.includes('4namedlinks')) expect(entry).toMatchObject({ kind: 'directory', entries: { count: 4 } });
        if (file.includes('7unnamedlinks')) {
          expect(entry.kind).toBe('file');
          if (entry.kind === 'file') expect(Math.round(entry.file.sizeBytes / 1e6)).toBe(306);
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'DAG_INVALID' });
        expect(error).toBeInstanceOf(CodedError);
      }
    });
  }

  const malformed: { name: string; hex: string }[] = JSON.parse(
    readFileSync(resolve(fixtures, 'dag-pb-blocks/malformed.json'), 'utf8'),
  );
  test.each(malformed)('malformed: $name', ({ hex }) => {
    expect(() => decodeDagNode(Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ code: 'DAG_INVALID' }));
  });
});
