/** How many nodes may be held: what is refused at the bound, what goes on, and that all works again below it. */
import type { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.ts';
import type { Attributes, NodeId } from '../../src/fs/file-system.ts';
import type { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import { BlockMap } from '../support/block-map.ts';
import { DAG_CBOR, DagBuilder, identityCid, RAW } from '../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../support/mount-content.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { context, listAll } from '../support/walk-file-system.ts';

const REFUSED = expect.objectContaining({ code: 'TOO_MANY_NODES' satisfies ErrorCode });
const NO_LIMIT = Number.MAX_SAFE_INTEGER;
/** About ten directories. */
const SMALL = { heapBytes: 5000, contents: NO_LIMIT };
const FEW_FILES = { heapBytes: NO_LIMIT, contents: 3 };

function setUp(nodeLimits: { heapBytes: number; contents: number }) {
  const blocks = new BlockMap();
  const logger = new RecordingLogger();
  return { dag: new DagBuilder(blocks), fileSystem: fileSystemOver(blocks, { nodeLimits, logger }), logger };
}

/** `levels` directories, each with two names for the next. */
function doubling(dag: DagBuilder, levels: number): CID {
  let cid = dag.directory([]);
  for (let level = 0; level < levels; level++) {
    cid = dag.directory([
      { name: 'a', cid },
      { name: 'b', cid },
    ]);
  }
  return cid;
}

async function find(fileSystem: IpfsFileSystem, parent: NodeId, name: string): Promise<Attributes> {
  return (await fileSystem.lookup(parent, Buffer.from(name), context)).attributes;
}

/** Looks everything up, as `find` does; what is refused is passed over. */
async function walkAll(fileSystem: IpfsFileSystem, node: NodeId): Promise<{ held: NodeId[]; refused: number }> {
  const all = { held: [] as NodeId[], refused: 0 };
  for (const { name } of await listAll(fileSystem, node, false)) {
    try {
      const child = await find(fileSystem, node, name);
      all.held.push(child.node);
      if (child.kind !== 'directory') continue;
      const below = await walkAll(fileSystem, child.node);
      all.held.push(...below.held);
      all.refused += below.refused;
    } catch (error) {
      expect(error).toEqual(REFUSED);
      all.refused++;
    }
  }
  return all;
}

describe('at the bound', () => {
  test('a tree of a million places holds no more directories than there is room for; forgotten, all works again', async () => {
    const { dag, fileSystem } = setUp(SMALL);
    const root = await mountRoot(fileSystem, doubling(dag, 20));
    const { held, refused } = await walkAll(fileSystem, root);
    expect(refused).toBeGreaterThan(0);
    expect(held.length).toBeGreaterThan(5);
    expect(fileSystem.nodeCount).toBe(held.length + 1);
    expect(fileSystem.nodeCount).toBeLessThan(15);
    // What is known is answered as ever.
    expect((await find(fileSystem, root, 'a')).node).toBe(held[0]);
    fileSystem.forget(held[0] as NodeId, 1);
    for (const node of held) fileSystem.forget(node, 1);
    expect(fileSystem.nodeCount).toBe(1);
    const again = await walkAll(fileSystem, root);
    expect(again.held.length).toBe(held.length);
  });

  test('long names count with their length', async () => {
    const { dag, fileSystem } = setUp(SMALL);
    const empty = dag.directory([]);
    const names = Array.from({ length: 12 }, (_, index) => String(index).padEnd(255, '-'));
    const root = await mountRoot(fileSystem, dag.directory(names.map((name) => ({ name, cid: empty }))));
    const { held } = await walkAll(fileSystem, root);
    expect(held.length).toBeGreaterThan(2);
    expect(held.length).toBeLessThan(7);
  });

  test('files are bounded by number, wherever they stand, and those with odd keys by their bytes', async () => {
    const files = setUp(FEW_FILES);
    const links = Array.from({ length: 5 }, (_, index) => ({
      name: `${index}`,
      cid: files.dag.raw(Buffer.from(`${index}`)),
      tsize: 1,
    }));
    const root = await mountRoot(
      files.fileSystem,
      files.dag.directory([{ name: 'sub', cid: files.dag.directory(links) }, ...links]),
    );
    const walked = await walkAll(files.fileSystem, root);
    // In both places the same three, and the same two are refused.
    expect(new Set(walked.held).size).toBe(4);
    expect(walked).toMatchObject({ refused: 4 });

    const odd = setUp(SMALL);
    const many = Array.from({ length: 40 }, (_, index) => ({
      name: `${index}`,
      cid: identityCid(RAW, Buffer.from(`inline ${index}`)),
      tsize: 9,
    }));
    const oddRoot = await mountRoot(odd.fileSystem, odd.dag.directory(many));
    const { held, refused } = await walkAll(odd.fileSystem, oddRoot);
    expect(held.length).toBeLessThan(20);
    expect(refused).toBe(40 - held.length);
    for (const node of held) odd.fileSystem.forget(node, 1);
    expect((await walkAll(odd.fileSystem, oddRoot)).held.length).toBe(held.length);
  });

  test('a listing names what it has no room for, without a node', async () => {
    const { dag, fileSystem } = setUp(FEW_FILES);
    const files = Array.from({ length: 6 }, (_, index) => ({
      name: `${index}`,
      cid: dag.block(DAG_CBOR, Buffer.from(`${index}`)),
    }));
    const root = await mountRoot(fileSystem, dag.directory(files));
    const listed = await listAll(fileSystem, root, true);
    expect(listed.map(({ name }) => name)).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(listed.filter(({ node, entry }) => node !== 0 && entry !== undefined).length).toBe(3);
    expect(listed.filter(({ node, entry }) => node === 0 && entry === undefined).length).toBe(3);
    expect(fileSystem.nodeCount).toBe(4);
  });

  test('another volume can be mounted all the same', async () => {
    const { dag, fileSystem } = setUp(SMALL);
    await walkAll(fileSystem, await mountRoot(fileSystem, doubling(dag, 20)));
    await mountRoot(fileSystem, dag.directory([]), { name: 'other' });
    expect(fileSystem.volume('other')?.kind).toBe('directory');
  });

  test('is said in the log, and as what failed last of the volume', async () => {
    const { dag, fileSystem, logger } = setUp(SMALL);
    await walkAll(fileSystem, await mountRoot(fileSystem, doubling(dag, 20)));
    const error = fileSystem.volume('v')?.lastError;
    expect(error).toMatch(/^the kernel holds as many files and directories as there is memory for/);
    expect(logger.lines.map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ volume: 'v', code: 'TOO_MANY_NODES', error }),
    ]);
  });
});
