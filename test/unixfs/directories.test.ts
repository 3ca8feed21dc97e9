/** Directories, basic and sharded: what is shown, what a look-up reads, and what is refused. */
import fc from 'fast-check';
import type { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { NodeWant } from '../../src/fs/node-want.ts';
import { cidOf, contentKey } from '../../src/unixfs/content-key.ts';
import { resolvePath } from '../../src/unixfs/resolve-path.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../support/block-map.ts';
import { DAG_CBOR, DagBuilder, hashBits, type NamedChild, slotPrefix } from '../support/dag-builder.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const demand = { priority: 'demand' as const };

function builder() {
  const blocks = new BlockMap();
  return { blocks, dag: new DagBuilder(blocks), unixfs: new UnixfsReader(blocks) };
}

async function names(unixfs: UnixfsReader, cid: CID): Promise<string[]> {
  const table = await unixfs.list(contentKey(cid), demand);
  return Array.from({ length: table.count }, (_, link) => Buffer.from(table.name(link)).toString());
}

async function find(unixfs: UnixfsReader, directory: CID, name: string) {
  const found = await unixfs.find(contentKey(directory), Buffer.from(name), demand);
  return found?.table.key(found.link);
}

describe('basic directories', () => {
  test('names that can be none are never surfaced; of equal names the first counts', async () => {
    const { dag, unixfs } = builder();
    const [one, two] = [dag.raw(Buffer.from('1')), dag.raw(Buffer.from('2'))];
    const bad = ['', '.', '..', 'a/b', '../x', '/', 'nul\0', 'n'.repeat(256), 'é'.repeat(128)];
    const good = ['zebra', '...', '.hidden', ' ', 'n'.repeat(255), 'é'.repeat(127), 'a\nb', 'apple'];
    const children = [...bad, ...good, 'apple', 'zebra'].map((name, index) => ({
      name,
      cid: index < bad.length + good.length ? one : two,
    }));
    const directory = dag.directory(children);
    expect(await names(unixfs, directory)).toEqual(good);
    for (const name of good) expect(await find(unixfs, directory, name)).toBe(contentKey(one));
    for (const name of bad) expect(await find(unixfs, directory, name)).toBe(undefined);
  });

  test('any names in any order: each is found once, as the first of its name', async () => {
    const some = fc.string({ unit: fc.constantFrom('a', 'b', '.', '/', 'é'), maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(some, { maxLength: 30 }), some, async (given, other) => {
        const { dag, unixfs } = builder();
        const children = given.map((name, index) => ({ name, cid: dag.raw(Buffer.from(`${index}`)) }));
        const directory = dag.directory(children);
        const valid = (name: string) => !['', '.', '..'].includes(name) && !name.includes('/');
        const first = new Map(children.toReversed().map(({ name, cid }) => [name, contentKey(cid)]));
        expect((await names(unixfs, directory)).sort()).toEqual([...first.keys()].filter(valid).sort());
        for (const name of [...given, other]) {
          expect(await find(unixfs, directory, name)).toBe(valid(name) ? first.get(name) : undefined);
        }
      }),
    );
  });
});

describe('sharded directories', () => {
  const children = (dag: DagBuilder, count: number): NamedChild[] =>
    Array.from({ length: count }, (_, index) => ({ name: `file-${index}`, cid: dag.raw(Buffer.from(`${index}`)) }));

  test.each([2, 4, 8, 16, 64, 256, 1024])(
    'fanout %i: complete, without duplicates, each name found',
    async (fanout) => {
      const { dag, unixfs } = builder();
      const inside = children(dag, 300);
      const root = dag.hamt(inside, fanout);
      expect((await names(unixfs, root)).sort()).toEqual(inside.map(({ name }) => name).sort());
      for (const { name, cid } of inside) expect(await find(unixfs, root, name)).toBe(contentKey(cid));
      expect(await find(unixfs, root, 'file-300')).toBe(undefined);
    },
  );

  test('names that collide far down stand levels deep, and a look-up reads one shard a level', async () => {
    const { blocks, dag, unixfs } = builder();
    const byPrefix = new Map<bigint, string>();
    let pair: [string, string] | undefined;
    for (let index = 0; !pair; index++) {
      const name = `collide-${index}`;
      const prefix = hashBits(name) >> 40n;
      const other = byPrefix.get(prefix);
      if (other) pair = [other, name];
      byPrefix.set(prefix, name);
    }
    const [one, two] = [dag.raw(Buffer.from('1')), dag.raw(Buffer.from('2'))];
    const root = dag.hamt([...children(dag, 500), { name: pair[0], cid: one }, { name: pair[1], cid: two }], 256);
    blocks.makeAllRemote();
    expect(await find(unixfs, root, pair[1])).toBe(contentKey(two));
    expect(blocks.fetched.length).toBe(4);
    expect(await find(unixfs, root, pair[0])).toBe(contentKey(one));
    expect(blocks.fetched.length).toBe(4);
  });

  test('listing wants all shards of a level together', async () => {
    const { blocks, dag, unixfs } = builder();
    const root = dag.hamt(children(dag, 2000), 16);
    blocks.makeAllRemote();
    expect((await names(unixfs, root)).length).toBe(2000);
    // The third level has more of them than the second could.
    expect(blocks.peak).toBeGreaterThan(256);
  });

  test('a listing has one time-out in all, and not one a level', async () => {
    const { blocks, dag, unixfs } = builder();
    const root = dag.hamt(children(dag, 300), 16);
    const entry = await unixfs.entry(contentKey(root), demand);
    if (entry.kind === 'shard') blocks.makeSilent(cidOf(entry.shard.links.key(0)));
    let now = 0;
    const want = new NodeWant('demand', 1000, { signal: new AbortController().signal }, () => now);
    const listing = (async () => unixfs.list(contentKey(root), want))();
    expect(blocks.waiting[0]?.options.timeoutMs).toBe(1000);
    now = 400;
    expect(blocks.waiting[0]?.options.timeoutMs).toBe(600);
    blocks.expire();
    await expect(listing).rejects.toMatchObject({ code: 'BLOCK_TIMEOUT' });
  });

  test('is worked out once for all who list it at once; who leaves is let go, and the last one ends it', async () => {
    const { blocks, dag, unixfs } = builder();
    const root = dag.hamt(children(dag, 300), 16);
    blocks.makeAllRemote();
    const listings = Promise.all(Array.from({ length: 20 }, () => unixfs.list(contentKey(root), demand)));
    expect(new Set(await listings).size).toBe(1);
    expect(new Set(blocks.fetched.map(({ cid }) => `${cid}`)).size).toBeGreaterThan(10);

    const fresh = new UnixfsReader(blocks);
    const entry = await unixfs.entry(contentKey(root), demand);
    if (entry.kind === 'shard') blocks.makeSilent(cidOf(entry.shard.links.key(0)));
    const callers = [new AbortController(), new AbortController()];
    const lists = callers.map(({ signal }) => fresh.list(contentKey(root), { ...demand, signal }));
    callers[0]?.abort();
    await expect(lists[0]).rejects.toMatchObject({ code: 'ABORTED' });
    expect(blocks.waiting.length).toBe(1);
    callers[1]?.abort();
    await expect(lists[1]).rejects.toMatchObject({ code: 'ABORTED' });
    expect(blocks.waiting.length).toBe(0);
  });

  test('of those who list it at once, each waits as long as its own time-out says', async () => {
    const { blocks, dag, unixfs } = builder();
    const root = dag.hamt(children(dag, 300), 16);
    const key = contentKey(root);
    const entry = await unixfs.entry(key, demand);
    if (entry.kind === 'shard') blocks.makeSilent(cidOf(entry.shard.links.key(0)));
    const clock = new FakeClock();
    const fresh = new UnixfsReader(blocks, { clock });
    const list = async (timeoutMs: number) =>
      Promise.resolve(fresh.list(key, { ...demand, timeoutMs })).then(() => 'listed', codeOf);
    const ended: string[] = [];
    const note = (who: string) => (how: string) => ended.push(`${who}: ${how}`);
    void list(1000).then(note('first'));
    void list(60_000).then(note('patient'));
    void list(400).then(note('hasty'));
    await clock.advance(400);
    expect(ended).toEqual(['hasty: BLOCK_TIMEOUT']);
    await clock.advance(600);
    blocks.expire();
    await settle();
    expect(ended).toEqual(['hasty: BLOCK_TIMEOUT', 'first: BLOCK_TIMEOUT']);
    expect(blocks.waiting.map(({ options }) => options.timeoutMs)).toEqual([59_000]);
    blocks.expire();
    await settle();
    expect(ended.at(-1)).toBe('patient: BLOCK_TIMEOUT');
    expect(clock.timers).toBe(0);
  });

  test('a listing too large for the cache is kept until it was not used for a minute', async () => {
    const { blocks, dag } = builder();
    const clock = new FakeClock();
    const key = contentKey(dag.hamt(children(dag, 300), 16));
    const unixfs = new UnixfsReader(blocks, { cacheBytes: 4096, clock });
    const listing = await unixfs.list(key, demand);
    for (let use = 0; use < 3; use++) {
      await clock.advance(50_000);
      expect(await unixfs.list(key, demand)).toBe(listing);
    }
    await clock.advance(60_000);
    expect(clock.timers).toBe(0);
    expect(await unixfs.list(key, demand)).not.toBe(listing);
  });

  test('a name that can be none is not surfaced from a shard either', async () => {
    const { dag, unixfs } = builder();
    const cid = dag.raw(Buffer.from('x'));
    const root = dag.hamt(
      ['..', 'a/b', 'good'].map((name) => ({ name, cid })),
      256,
    );
    expect(await names(unixfs, root)).toEqual(['good']);
    expect(await find(unixfs, root, '..')).toBe(undefined);
    expect(await find(unixfs, root, 'a/b')).toBe(undefined);
  });

  /** The slots of `name` from the root on, at fanout 256. */
  const slots = (name: string) =>
    Array.from({ length: 8 }, (_, depth) => Number((hashBits(name) >> BigInt(56 - 8 * depth)) & 255n));

  const malformed: [string, (dag: DagBuilder, cid: CID) => CID][] = [
    ['another hash function', (dag) => dag.shard([], [], 256, { hashType: 0x12 })],
    ['no hash function', (dag) => dag.node({ type: 5, fanout: 256 })],
    ['a fanout of 1', (dag) => dag.shard([], [], 1)],
    ['a fanout of 3', (dag) => dag.shard([], [], 3)],
    ['a fanout of 2048', (dag) => dag.shard([], [], 2048)],
    ['a fanout of 2^63', (dag) => dag.node({ type: 5, hashType: 0x22, fanout: 2n ** 63n })],
    [
      'an entry in another slot',
      (dag, cid) =>
        dag.shard([(slots('a')[0] ?? 0) ^ 1], [{ name: `${slotPrefix((slots('a')[0] ?? 0) ^ 1, 256)}a`, cid }], 256),
    ],
    ['a bit without its link', (dag, cid) => dag.shard([1, 2], [{ name: '01', cid }], 256)],
    [
      'a link without its bit',
      (dag, cid) =>
        dag.shard(
          [1],
          [
            { name: '01', cid },
            { name: '02', cid },
          ],
          256,
        ),
    ],
    [
      'links out of order',
      (dag, cid) =>
        dag.shard(
          [1, 2],
          [
            { name: '02', cid },
            { name: '01', cid },
          ],
          256,
        ),
    ],
    [
      'two links in one slot',
      (dag, cid) =>
        dag.shard(
          [1],
          [
            { name: '01a', cid },
            { name: '01b', cid },
          ],
          256,
        ),
    ],
    ['a slot in lower case', (dag, cid) => dag.shard([0xab], [{ name: 'ab', cid }], 256)],
    ['a file where a shard belongs', (dag, cid) => dag.shard([1], [{ name: '01', cid }], 256)],
    ['an empty shard below', (dag) => dag.shard([1], [{ name: '01', cid: dag.shard([], [], 256) }], 256)],
    [
      'another fanout below',
      (dag, cid) => dag.shard([1], [{ name: '01', cid: dag.hamt([{ name: 'x', cid }], 16) }], 256),
    ],
  ];

  test.each(malformed)('DAG_INVALID: %s', async (_name, make) => {
    const { dag, unixfs } = builder();
    const root = make(dag, dag.raw(Buffer.from('x')));
    await expect(names(unixfs, root)).rejects.toMatchObject({ code: 'DAG_INVALID' });
  });

  test('a few shards that link to each other as 256^7 are refused after a few reads', async () => {
    const { blocks, dag, unixfs } = builder();
    const all = Array.from({ length: 256 }, (_, slot) => slot);
    let shard = dag.hamt([{ name: 'x', cid: dag.raw(Buffer.from('x')) }], 256);
    for (let level = 0; level < 7; level++) {
      shard = dag.shard(
        all,
        all.map((slot) => ({ name: slotPrefix(slot, 256), cid: shard })),
        256,
      );
    }
    blocks.makeAllRemote();
    await expect(names(unixfs, shard)).rejects.toMatchObject({ code: 'DAG_INVALID' });
    expect(blocks.fetched.length).toBeLessThan(10);
  });

  test('a chain of shards deeper than a hash has bits ends as DAG_INVALID, and a look-up in it as not there', async () => {
    const { dag, unixfs } = builder();
    const path = slots('x');
    let shard = dag.hamt([{ name: 'x', cid: dag.raw(Buffer.from('x')) }], 256);
    for (let depth = 9; depth >= 0; depth--) {
      const slot = path[depth % 8] ?? 0;
      shard = dag.shard([slot], [{ name: slotPrefix(slot, 256), cid: shard }], 256);
    }
    await expect(names(unixfs, shard)).rejects.toMatchObject({ code: 'DAG_INVALID' });
    expect(await find(unixfs, shard, 'x')).toBe(undefined);
  });
});

describe('resolvePath', () => {
  test('through basic and sharded directories, reading the way alone', async () => {
    const { blocks, dag, unixfs } = builder();
    const file = dag.part([], Buffer.from('hello')).cid;
    const sharded = dag.hamt(
      [
        { name: 'file', cid: file },
        { name: 'other', cid: dag.raw(Buffer.from('o')) },
      ],
      256,
    );
    const root = dag.directory([
      { name: 'sub', cid: sharded },
      { name: 'aside', cid: dag.directory([]) },
    ]);
    blocks.makeAllRemote();
    expect(await resolvePath(unixfs, root, ['sub', 'file'], demand)).toEqual({ cid: file, kind: 'file' });
    expect(await resolvePath(unixfs, root, ['sub'], demand)).toEqual({ cid: sharded, kind: 'directory' });
    expect(await resolvePath(unixfs, root, [], demand)).toEqual({ cid: root, kind: 'directory' });
    expect(blocks.fetched.length).toBe(3);
  });

  test('says which segment is missing, and what stands in the way', async () => {
    const { dag, unixfs } = builder();
    const root = dag.directory([
      { name: 'sub', cid: dag.directory([{ name: 'file', cid: dag.raw(Buffer.from('x')) }]) },
    ]);
    await expect(resolvePath(unixfs, root, ['sub', 'nope', 'x'], demand)).rejects.toMatchObject({
      code: 'ENTRY_NOT_FOUND',
      message: `there is no "nope" in ${root}/sub`,
    });
    await expect(resolvePath(unixfs, root, ['sub', 'file', 'x'], demand)).rejects.toMatchObject({
      code: 'NOT_A_DIRECTORY',
      message: expect.stringContaining('/sub/file is a file'),
    });
  });

  test('a root that is no UnixFS is NOT_UNIXFS, saying what it is and what to do', async () => {
    const { dag, unixfs } = builder();
    const cbor = dag.block(DAG_CBOR, Buffer.from([0xa0]));
    await expect(resolvePath(unixfs, cbor, [], demand)).rejects.toMatchObject({
      code: 'NOT_UNIXFS',
      message: expect.stringMatching(/is a dag-cbor block, not a UnixFS file or directory; add the content/),
    });
    await expect(resolvePath(unixfs, dag.node(Buffer.from('junk!')), [], demand)).rejects.toMatchObject({
      code: 'NOT_UNIXFS',
    });
    await expect(resolvePath(unixfs, dag.symlink('x'), [], demand)).rejects.toMatchObject({ code: 'NOT_UNIXFS' });
  });

  test('a dag-cbor child is a file; so is a raw root, if somebody has it', async () => {
    const { blocks, dag, unixfs } = builder();
    const cbor = dag.block(DAG_CBOR, Buffer.from([0xa0]));
    const root = dag.directory([{ name: 'document', cid: cbor }]);
    expect(await resolvePath(unixfs, root, ['document'], demand)).toMatchObject({ kind: 'file' });
    const raw = dag.raw(Buffer.from('x'));
    expect(await resolvePath(unixfs, raw, [], demand)).toEqual({ cid: raw, kind: 'file' });
    const absent = dag.raw(Buffer.from('y'));
    blocks.remove(absent);
    await expect(resolvePath(unixfs, absent, [], demand)).rejects.toMatchObject({ code: 'BLOCK_UNAVAILABLE' });
  });
});
