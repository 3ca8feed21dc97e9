/** Listing directories: never failing for a child, never waiting twice, and reading no more than it needs. */
import { expect, test } from 'vitest';
import { BlockService } from '../../src/blocks/block-service.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FaultSource } from '../support/fault-source.ts';
import { fileSystemOver, mountRoot, volumeSpec } from '../support/mount-content.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { context, listAll } from '../support/walk-file-system.ts';

function setUp(options: Parameters<typeof fileSystemOver>[1] = {}) {
  const blocks = new BlockMap();
  return { blocks, dag: new DagBuilder(blocks), fileSystem: fileSystemOver(blocks, options) };
}

/** Plays time-outs until `work` is done. */
async function withExpiries<T>(blocks: BlockMap, work: Promise<T>): Promise<T> {
  let done = false;
  const settled = work.finally(() => {
    done = true;
  });
  settled.catch(() => undefined);
  for (let turn = 0; !done && turn < 1000; turn++) {
    await new Promise(setImmediate);
    blocks.expire();
  }
  return settled;
}

test('all children that need their block are wanted at once, as metadata; raw ones need none', async () => {
  const { blocks, dag, fileSystem } = setUp();
  const files = Array.from({ length: 100 }, (_, index) => ({
    name: `f${index}`,
    cid: dag.part([], Buffer.from(`${index}`)).cid,
  }));
  const raws = Array.from({ length: 100 }, (_, index) => ({
    name: `r${index}`,
    cid: dag.raw(Buffer.from(`${index}`)),
    tsize: `${index}`.length,
  }));
  const node = await mountRoot(fileSystem, dag.directory([...files, ...raws]));
  blocks.makeAllRemote();
  const listed = await listAll(fileSystem, node, true, 50);
  expect(blocks.peak).toBe(100);
  expect(blocks.fetched.every(({ priority }) => priority === 'metadata')).toBe(true);
  expect(listed.length).toBe(200);
  expect(listed.every(({ kind, entry }) => kind === 'file' && entry !== undefined)).toBe(true);
});

test('children that a listing waits for are accounted as awaited, and those beyond its window are not', async () => {
  const { blocks, dag, fileSystem } = setUp();
  const children = Array.from({ length: 300 }, (_, index) => ({
    name: `f${index}`,
    cid: dag.part([], Buffer.from(`${index}`)).cid,
  }));
  const node = await mountRoot(fileSystem, dag.directory(children));
  blocks.makeAllRemote();
  const awaited: boolean[] = [];
  const volume = fileSystem.volume('v');
  if (!volume) throw new Error('no volume');
  volume.tally.listener = (_cid, _bytes, how) => {
    if (how.priority === 'metadata') awaited.push(how.awaited === true);
  };
  await fileSystem.list(node, 0, true, () => false, context);
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  expect(awaited.filter((each) => each).length).toBe(256);
  expect(awaited.length).toBe(300);
});

test('a child that nobody has, or that is malformed, goes out as unknown', async () => {
  const { blocks, dag, fileSystem } = setUp();
  const absent = dag.part([], Buffer.from('absent')).cid;
  const children = [
    { name: 'absent', cid: absent },
    { name: 'junk', cid: dag.node(Buffer.from('junk!')) },
    { name: 'sub', cid: dag.directory([]) },
  ];
  const node = await mountRoot(fileSystem, dag.directory(children));
  blocks.remove(absent);
  const listed = await listAll(fileSystem, node, true);
  expect(listed.map(({ name, kind, node: number }) => [name, kind, number !== 0])).toEqual([
    ['absent', undefined, false],
    ['junk', undefined, false],
    ['sub', 'directory', true],
  ]);
  await expect(fileSystem.lookup(node, Buffer.from('absent'), context)).rejects.toMatchObject({
    code: 'BLOCK_UNAVAILABLE',
  });
  expect(() => fileSystem.lookup(node, Buffer.from('junk'), context)).toThrow(
    expect.objectContaining({ code: 'DAG_INVALID' }),
  );
  expect(fileSystem.volume('v')?.lastError).toMatch(/^block bafy\w+: protobuf/);
});

test('silent children cost one time-out for the whole pass, however many calls it takes', async () => {
  let now = 0;
  const { blocks, dag, fileSystem } = setUp({ now: () => now });
  const children = Array.from({ length: 600 }, (_, index) => ({
    name: `c${String(index).padStart(3, '0')}`,
    cid: dag.part([], Buffer.from(`${index}`)).cid,
  }));
  const node = await mountRoot(fileSystem, dag.directory(children), { timeoutMs: 1000 });
  for (const { cid } of children) blocks.makeSilent(cid);

  const cursors: number[] = [];
  const call = (cursor: number, take: number) =>
    fileSystem.list(node, cursor, true, (entry) => cursors.push(entry.nextCursor) % take !== 0, context);
  const first = Promise.resolve(call(0, 100));
  expect(blocks.waiting.slice(0, 256).every(({ options }) => options.timeoutMs === 1000)).toBe(true);
  // All that is waited for, and more that is not.
  expect(blocks.waiting.length).toBe(600);
  now = 1000;
  blocks.expire();
  await first;
  expect(cursors.length).toBe(100);
  // Later calls of the same pass answer in the same turn.
  expect(call(100, 100)).toBe(undefined);
  expect(call(200, 1000)).toBe(undefined);
  expect(cursors.length).toBeGreaterThanOrEqual(600);
});

test.each([
  ['said nothing', /did not come/],
  ['has no such block', /no source has/],
])(
  'a listing whose children cannot be had, of which a source %s, succeeds, and the volume knows why',
  async (how, why) => {
    const logger = new RecordingLogger();
    const { blocks, dag, fileSystem } = setUp({ logger });
    const missing = dag.part([], Buffer.from('missing')).cid;
    const root = dag.directory([{ name: 'missing', cid: missing }]);
    const node = await mountRoot(fileSystem, root);
    if (how === 'said nothing') blocks.makeSilent(missing);
    else blocks.remove(missing);
    const [listed] = await withExpiries(blocks, listAll(fileSystem, node, true));
    expect(listed).toMatchObject({ kind: undefined, node: 0 });
    const volume = fileSystem.volume('v');
    expect(volume?.lastError).toMatch(why);
    expect(volume?.lastError).toContain(missing.toString());
    expect(logger.lines).toMatchObject([{ level: 'warn', fields: { what: `what an entry of ${root} is` } }]);
  },
);

test('a listing without attributes waits for nothing, and fetches what it lacks behind', async () => {
  const { blocks, dag, fileSystem } = setUp();
  const sub = dag.directory([]);
  const children = [
    { name: 'raw', cid: dag.raw(Buffer.from('x')), tsize: 1 },
    { name: 'sub', cid: sub },
  ];
  const node = await mountRoot(fileSystem, dag.directory(children));
  blocks.makeRemote(sub);
  const kinds: unknown[] = [];
  const fill = ({ kind }: { kind: unknown }) => kinds.push(kind) > 0;
  expect(fileSystem.list(node, 0, false, fill, context)).toBe(undefined);
  expect(kinds).toEqual(['file', undefined]);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  fileSystem.list(node, 0, false, fill, context);
  expect(kinds).toEqual(['file', undefined, 'file', 'directory']);
});

test('a lister that is killed drops its wants', async () => {
  const { blocks, dag, fileSystem } = setUp();
  const sub = dag.directory([]);
  const node = await mountRoot(fileSystem, dag.directory([{ name: 'sub', cid: sub }]));
  blocks.makeSilent(sub);
  const controller = new AbortController();
  const listing = fileSystem.list(node, 0, true, () => true, { signal: controller.signal });
  controller.abort();
  await expect(listing).rejects.toMatchObject({ code: 'ABORTED' });
  expect(blocks.waiting.length).toBe(0);
});

test('a directory whose own shards cannot be had fails, and the volume knows why', async () => {
  const { blocks, dag, fileSystem } = setUp();
  const children = Array.from({ length: 200 }, (_, index) => ({
    name: `${index}`,
    cid: dag.raw(Buffer.from(`${index}`)),
  }));
  const root = dag.hamt(children, 16);
  const node = await mountRoot(fileSystem, root);
  for (const key of [...blocks.blocks.keys()]) blocks.blocks.delete(key);
  await expect(withExpiries(blocks, listAll(fileSystem, node, true))).rejects.toMatchObject({
    code: 'BLOCK_UNAVAILABLE',
  });
  expect(fileSystem.volume('v')?.lastError).toMatch(/no source has/);
});

test('a large sharded directory by cursor: in order, complete, decoded once, small in memory', async () => {
  const { blocks, dag, fileSystem } = setUp({ cacheBytes: 4096 });
  const cid = dag.raw(Buffer.from('x'));
  const children = Array.from({ length: 20_000 }, (_, index) => ({ name: `entry-${index}`, cid }));
  const root = dag.hamt(children, 256);
  const node = await mountRoot(fileSystem, root);
  blocks.makeAllRemote();
  const listed = await listAll(fileSystem, node, false, 100);
  expect(new Set(listed.map(({ name }) => name)).size).toBe(20_000);
  // However little the cache holds, the shards were read once and not once for each call.
  expect(new Set(blocks.fetched.map(({ cid }) => `${cid}`)).size).toBe(blocks.fetched.length);
});

test('children larger together than the cache are listed with their attributes all the same', async () => {
  for (const remote of [true, false]) {
    const { blocks, dag, fileSystem } = setUp({ cacheBytes: 4096 });
    const children = Array.from({ length: 50 }, (_, index) => ({
      name: `d${index}`,
      cid: dag.directory([{ name: `${index}`.repeat(100), cid: dag.raw(Buffer.from('x')) }]),
    }));
    const node = await mountRoot(fileSystem, dag.directory(children));
    if (remote) blocks.makeAllRemote();
    const listed = await listAll(fileSystem, node, true, 10);
    expect(listed.filter(({ kind, entry }) => kind === 'directory' && entry !== undefined)).toHaveLength(50);
    for (const { node: child } of listed) fileSystem.forget(child, 1);
    expect(fileSystem.nodeCount).toBe(1);
  }
});

test('a listing whose first source is silent has its children from the next one, long before its time is up', async () => {
  const { blocks, dag } = setUp();
  const children = Array.from({ length: 30 }, (_, index) => ({
    name: `f${index}`,
    cid: dag.part([], Buffer.from(`${index}`)).cid,
  }));
  const root = dag.directory(children);
  const clock = new FakeClock();
  const content = [...blocks.named()];
  const silent = new FaultSource('silent', clock, content, (_call, cid) => (cid.equals(root) ? 'block' : 'silent'));
  const service = new BlockService({
    memory: new MemoryCache(1024 ** 2),
    stores: [],
    sinks: [],
    sources: [silent, new FaultSource('other', clock, content)],
    timeoutMs: 60_000,
    clock,
    random: () => 0.5,
  });
  const fileSystem = new IpfsFileSystem(new UnixfsReader(service), { now: () => clock.nowMs() });
  const spec = volumeSpec(root, { timeoutMs: 60_000 });
  fileSystem.addVolume(spec);
  const looked = Promise.resolve(fileSystem.lookup(1, Buffer.from(spec.name), context));
  await clock.advance(100);
  const { attributes } = await looked;
  let listed: readonly unknown[] = [];
  void listAll(fileSystem, attributes.node, true, 50).then((entries) => {
    listed = entries.filter(({ entry }) => entry !== undefined);
  });
  await clock.advance(10_000);
  expect(listed).toHaveLength(30);
  await service.close();
});
