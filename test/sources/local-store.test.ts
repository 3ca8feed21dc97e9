/** The local store: what comes in by CAR, what is refused and leaves nothing, what is listed, removed and swept. */
import { readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { type Block, blockKey, MAX_BLOCK_BYTES } from '../../src/blocks/block.ts';
import { LocalStore } from '../../src/sources/local-store.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { BlockMap } from '../support/block-map.ts';
import {
  cidOfBytes,
  DAG_PB,
  DagBuilder,
  encodeDagPb,
  identityCid,
  message,
  RAW,
  TYPE,
  varint,
} from '../support/dag-builder.ts';
import { makeBlock, makeBlocks } from '../support/make-block.ts';
import { carHeader, carSection, carV1, carV2, inPieces } from '../support/make-car.ts';

let scratch: Scratch;
let store: LocalStore;

beforeEach(async () => {
  scratch = new Scratch();
  store = await open();
});

afterEach(async () => {
  await store.close();
  scratch[Symbol.dispose]();
});

const gone: [string, number][] = [];
const open = (): Promise<LocalStore> =>
  LocalStore.open(scratch.at('store'), {
    logger: silentLogger(),
    onGone: (key, sizeBytes) => void gone.push([key, sizeBytes]),
  });

async function reopen(): Promise<void> {
  await store.close();
  store = await open();
}

const take = (car: Uint8Array, root: 'header' | 'last' = 'header') => store.importCar(inPieces(car), { root });

/** A directory of those files: its block last. */
function directoryOf(files: readonly Block[]): Block {
  const links = files.map(({ cid, bytes }, index) => ({ cid, name: `file ${index}`, tsize: bytes.length }));
  const bytes = encodeDagPb(links, message({ type: TYPE.directory }));
  return { cid: cidOfBytes(DAG_PB, bytes), bytes };
}

function noise(sizeBytes: number, seed: number): Block {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed + 1;
  for (let at = 0; at < sizeBytes; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return makeBlock(bytes);
}

const [FIRST, SECOND, THIRD] = [noise(100, 1), noise(40_000, 2), noise(300_000, 3)] as [Block, Block, Block];
const ALL = [FIRST, SECOND, THIRD];
const ROOT = directoryOf(ALL);

async function expectKept(...blocks: readonly Block[]): Promise<void> {
  for (const { cid, bytes } of blocks) {
    expect(store.has(blockKey(cid))).toBe(true);
    expect(Buffer.from((await store.get(blockKey(cid))) ?? [])).toEqual(Buffer.from(bytes));
  }
}

/** Files of large blocks on the disk. */
function files(): string[] {
  return readdirSync(scratch.at('store'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.startsWith('files/') && statSync(join(scratch.at('store'), name)).isFile())
    .sort();
}

const NOTHING = { roots: 0, blocks: 0, bytes: 0 };

describe('import', () => {
  test.each([
    ['version 1', carV1([ROOT.cid], [ROOT, ...ALL])],
    ['version 2', carV2([ROOT.cid], [ROOT, ...ALL])],
    ['version 2, padded', carV2([ROOT.cid], [ROOT, ...ALL], { padding: 5000 })],
    ['version 2 with an index', carV2([ROOT.cid], [ROOT, ...ALL], { index: Buffer.alloc(3000, 0x81) })],
    ['version 2, padded, with an index', carV2([ROOT.cid], [ROOT, ...ALL], { padding: 1, index: Buffer.alloc(7) })],
    ['its root last', carV1([ROOT.cid], [...ALL, ROOT])],
    ['blocks that come twice', carV1([ROOT.cid], [ROOT, ...ALL, ...ALL, ROOT])],
  ])('%s', async (_name, car) => {
    expect(await take(car)).toMatchObject({ roots: [ROOT.cid.toString()] });
    await expectKept(ROOT, ...ALL);
    await reopen();
    await expectKept(ROOT, ...ALL);
    expect(store.statistics()).toMatchObject({ roots: 1, blocks: 4 });
  });

  test('in pieces of one byte, and in one', async () => {
    const car = carV2([ROOT.cid], [ROOT, FIRST], { padding: 3, index: Buffer.alloc(50) });
    await store.importCar(inPieces(car, 1), { root: 'header' });
    await store.importCar(inPieces(car, car.length), { root: 'header' });
    await expectKept(ROOT, FIRST);
  });

  test('gives roots as the CAR spells them, and lists them so', async () => {
    const v0 = ROOT.cid.toV0();
    const { roots } = await take(carV1([v0, FIRST.cid], [ROOT, FIRST]));
    expect(roots).toEqual([v0.toString(), FIRST.cid.toString()]);
    expect(
      store
        .roots()
        .map(({ cid }) => cid)
        .sort(),
    ).toEqual([...roots].sort());
  });

  test('a CAR that names no root keeps its last block, where that is asked for', async () => {
    expect(await take(carV1([], [FIRST, ROOT]), 'last')).toEqual({
      roots: [ROOT.cid.toString()],
      blocks: 2,
      bytes: FIRST.bytes.length + ROOT.bytes.length,
    });
    await expect(take(carV1([], [SECOND]))).rejects.toMatchObject({
      code: 'CAR_INVALID',
      message: expect.stringContaining('no root'),
    });
    expect(store.has(blockKey(SECOND.cid))).toBe(false);
  });

  test('a root that is an identity CID needs no block', async () => {
    const inline = identityCid(RAW, Buffer.from('hello'));
    expect((await take(carV1([inline], []))).roots).toEqual([inline.toString()]);
  });

  test('reads ranges of what it keeps, up to the end and not beyond', async () => {
    await take(carV1([ROOT.cid], [ROOT, ...ALL]));
    for (const { cid, bytes } of ALL) {
      const [from, to] = [Math.floor(bytes.length / 3), bytes.length];
      expect(Buffer.from((await store.getRange(blockKey(cid), from, to)) ?? [])).toEqual(
        Buffer.from(bytes.subarray(from, to)),
      );
      expect(await store.getRange(blockKey(cid), 0, to + 1)).toBeUndefined();
    }
  });
});

describe('what is refused leaves nothing behind', () => {
  const whole = carV1([ROOT.cid], [ROOT, ...ALL]);
  const wholeV2 = carV2([ROOT.cid], [ROOT, ...ALL], { padding: 10 });
  const lie: Block = { cid: SECOND.cid, bytes: THIRD.bytes };
  const large = makeBlock(new Uint8Array(MAX_BLOCK_BYTES + 1));
  const truncated = carV2([ROOT.cid], [ROOT, FIRST]);
  const sections = carV2([ROOT.cid], [ROOT, FIRST, SECOND]).subarray(0, truncated.length);

  test.each<[string, Uint8Array, string, RegExp]>([
    ['cut in a block', whole.subarray(0, whole.length - 1), 'CAR_INVALID', /truncated: it ends after \d+ bytes/],
    ['cut in its header', whole.subarray(0, 20), 'CAR_INVALID', /truncated/],
    ['cut in the header of a version 2', wholeV2.subarray(0, 40), 'CAR_INVALID', /truncated/],
    ['cut in the padding of a version 2', wholeV2.subarray(0, 55), 'CAR_INVALID', /truncated|not parse/],
    ['a version 2 cut between two blocks', sections, 'CAR_INVALID', /truncated/],
    [
      'a block that lies',
      carV1([ROOT.cid], [ROOT, FIRST, lie]),
      'BLOCK_CORRUPT',
      new RegExp(`${SECOND.cid}.* do not match`),
    ],
    ['a block over 2 MiB', carV1([ROOT.cid], [ROOT, large]), 'BLOCK_TOO_LARGE', /2 MiB|2097152/],
    ['a root whose block is missing', carV1([ROOT.cid], ALL), 'CAR_INVALID', new RegExp(`root ${ROOT.cid}`)],
    ['a header without roots', carV1([], ALL), 'CAR_INVALID', /no root/],
    ['a text of one line', Buffer.from('hello\n'), 'CAR_INVALID', /this is no CAR: its header does not parse/],
    ['nothing', new Uint8Array(0), 'CAR_INVALID', /not parse/],
    ['a web page', Buffer.from('<!doctype html><title>Not found</title>'), 'CAR_INVALID', /CAR/],
    ['a length of ten bytes of varint', Buffer.from('ffffffffffffffffff01', 'hex'), 'CAR_INVALID', /CAR/],
    [
      'a section shorter than its CID',
      Buffer.concat([whole, Buffer.from([5]), FIRST.cid.bytes]),
      'CAR_INVALID',
      /shorter/,
    ],
    ['a section of no length', Buffer.concat([whole, Buffer.from([0, 0])]), 'CAR_INVALID', /zero length|not parse/],
    ['garbage behind its blocks', Buffer.concat([whole, Buffer.alloc(40, 0xff)]), 'CAR_INVALID', /CAR/],
    [
      'a section that claims an exabyte',
      Buffer.concat([whole, Buffer.from(varint(2 ** 40)), FIRST.cid.bytes]),
      'BLOCK_TOO_LARGE',
      /section/,
    ],
    ['data within its own header', carV2([ROOT.cid], [ROOT], { dataOffset: 10 }), 'CAR_INVALID', /header/],
    [
      'data far beyond its end',
      carV2([ROOT.cid], [ROOT], { dataOffset: 2 ** 40 }),
      'CAR_INVALID',
      /truncated|not parse/,
    ],
    ['a data size of more than there is', carV2([ROOT.cid], [ROOT], { dataSize: 2 ** 40 }), 'CAR_INVALID', /truncated/],
    ['a data size that ends in a block', carV2([ROOT.cid], [ROOT, SECOND], { dataSize: 300 }), 'CAR_INVALID', /CAR/],
    [
      'a hash too weak to verify',
      carV1(
        [ROOT.cid],
        [ROOT, { cid: CID.createV1(RAW, create(0x11, FIRST.cid.multihash.digest)), bytes: FIRST.bytes }],
      ),
      'BLOCK_CORRUPT',
      /hash/,
    ],
  ])('%s', async (_name, car, code, text) => {
    await expect(take(car)).rejects.toMatchObject({ code });
    await expect(take(car)).rejects.toThrow(text);
    expect(store.statistics()).toEqual(NOTHING);
    expect(files()).toEqual([]);
    for (const { cid } of [ROOT, ...ALL]) expect(store.has(blockKey(cid))).toBe(false);
    // And the store is as good as before.
    await take(whole);
    await expectKept(ROOT, ...ALL);
  });

  test('of a failed import only what it brought itself goes', async () => {
    await take(carV1([SECOND.cid], [SECOND]));
    await expect(take(whole.subarray(0, whole.length - 1))).rejects.toMatchObject({ code: 'CAR_INVALID' });
    await expectKept(SECOND);
    expect(store.statistics()).toMatchObject({ roots: 1, blocks: 1 });
  });

  test('a sender that goes away', async () => {
    const left = new AbortController();
    async function* sent() {
      yield carHeader([ROOT.cid]);
      yield carSection(SECOND);
      left.abort();
      yield carSection(ROOT);
      yield* [];
    }
    const result = store.importCar(sent(), { root: 'header', signal: left.signal });
    await expect(result).rejects.toMatchObject({ code: 'ABORTED' });
    expect(store.statistics()).toEqual(NOTHING);
    expect(files()).toEqual([]);
  });

  test('a stream that fails', async () => {
    async function* broken() {
      yield carHeader([ROOT.cid]);
      yield carSection(THIRD);
      throw new Error('the pipe broke');
    }
    await expect(store.importCar(broken(), { root: 'header' })).rejects.toThrow();
    expect(store.statistics()).toEqual(NOTHING);
    expect(files()).toEqual([]);
  });
});

describe('rm and gc', () => {
  const other = directoryOf([SECOND, noise(50_000, 9)]);
  const OTHER_FILE = noise(50_000, 9);

  beforeEach(async () => {
    await take(carV1([ROOT.cid], [ROOT, ...ALL]));
    await take(carV1([other.cid], [other, SECOND, OTHER_FILE]));
  });

  test('rm forgets the root, gc its blocks but for those that another root has', async () => {
    await store.remove(ROOT.cid);
    await expectKept(ROOT, ...ALL);
    const freed = await store.gc();
    expect(freed).toEqual({
      removedBlocks: 3,
      freedBytes: ROOT.bytes.length + FIRST.bytes.length + THIRD.bytes.length,
    });
    await expectKept(other, SECOND, OTHER_FILE);
    for (const { cid } of [ROOT, FIRST, THIRD]) expect(store.has(blockKey(cid))).toBe(false);
    expect(files()).toHaveLength(2);
    await reopen();
    await expectKept(other, SECOND, OTHER_FILE);
    expect(store.roots().map(({ cid }) => cid)).toEqual([other.cid.toString()]);
  });

  test('gc of all gives all the space back', async () => {
    await store.remove(ROOT.cid);
    await store.remove(other.cid);
    await store.gc();
    expect(store.statistics()).toEqual(NOTHING);
    expect(files()).toEqual([]);
    expect(await store.gc()).toEqual({ removedBlocks: 0, freedBytes: 0 });
  });

  test('rm takes any spelling of the same content, and nothing else', async () => {
    await take(carV1([ROOT.cid.toV0()], [ROOT, ...ALL]));
    expect(store.roots()).toHaveLength(3);
    const asRaw = CID.createV1(RAW, ROOT.cid.multihash);
    await expect(store.remove(asRaw)).rejects.toMatchObject({ code: 'NOT_IN_STORE' });
    await store.remove(ROOT.cid.toV0());
    expect(store.roots().map(({ cid }) => cid)).toEqual([other.cid.toString()]);
  });

  test('rm of what is no root names it', async () => {
    await expect(store.remove(FIRST.cid)).rejects.toThrow(`the local store keeps no root ${FIRST.cid}`);
  });

  test('gc walks deep chains, nodes that do not decode, and a DAG whose blocks are partly absent', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    let part = dag.rawPart(Buffer.from('the leaf'));
    for (let level = 0; level < 2000; level++) part = dag.part([part]);
    const chain = [...blocks.blocks].map(([, bytes]) => ({
      cid: cidOfBytes(bytes.length === 8 ? RAW : DAG_PB, bytes),
      bytes,
    }));
    const notDagPb: Block = { cid: cidOfBytes(DAG_PB, Buffer.from('no node')), bytes: Buffer.from('no node') };
    const gone = makeBlock('never sent');
    const top = directoryOf([{ cid: part.cid, bytes: new Uint8Array(0) }, notDagPb, gone]);
    await take(carV1([top.cid], [top, notDagPb, ...chain]));
    await store.gc();
    await expectKept(top, notDagPb, ...chain);
  });

  test('gc passes over a link to an identity CID that is longer than any may be', async () => {
    const long = identityCid(DAG_PB, new Uint8Array(200));
    const top = directoryOf([{ cid: long, bytes: new Uint8Array(0) }, FIRST]);
    await take(carV1([top.cid], [top, FIRST]));
    await store.remove(ROOT.cid);
    expect((await store.gc()).removedBlocks).toBe(2);
    await expectKept(top, FIRST);
  });

  test('gc removes nothing while the disk does not let it see what a block leads to', async () => {
    const many = makeBlocks(1000);
    const top = directoryOf(many);
    const before = new Set(files());
    await take(carV1([top.cid], [top, ...many]));
    const [file] = files().filter((name) => !before.has(name));
    const path = join(scratch.at('store'), file as string);
    await reopen();
    const { blocks } = store.statistics();
    // A link to itself cannot be opened, as nothing can while there are no descriptors left.
    renameSync(path, `${path}.aside`);
    symlinkSync(path, path);
    await expect(store.gc()).rejects.toThrow('cannot be cleaned');
    expect(store.statistics().blocks).toBe(blocks);
    renameSync(`${path}.aside`, path);
    expect(await store.gc()).toEqual({ removedBlocks: 0, freedBytes: 0 });
    await expectKept(top, ...many);
  });

  test('the blocks of a root of DAG-CBOR stay: its links are walked too', async () => {
    // { "link": CID }
    const cbor = Buffer.concat([
      Buffer.from([0xa1, 0x64]),
      Buffer.from('link'),
      Buffer.from([0xd8, 42, 0x58, OTHER_FILE.cid.bytes.length + 1, 0]),
      OTHER_FILE.cid.bytes,
    ]);
    const node: Block = { cid: cidOfBytes(0x71, cbor), bytes: cbor };
    await store.remove(other.cid);
    await take(carV1([node.cid], [node, OTHER_FILE]));
    await store.gc();
    await expectKept(node, OTHER_FILE);
  });

  test('a node that is linked as raw bytes as well is walked all the same', async () => {
    const raw = CID.createV1(RAW, other.cid.multihash);
    const both = directoryOf([{ cid: raw, bytes: other.bytes }, other]);
    await store.remove(other.cid);
    await take(carV1([both.cid], [both, other, OTHER_FILE]));
    await store.gc();
    await expectKept(both, other, OTHER_FILE);
  });

  test('an import and a gc at once take turns', async () => {
    const more = makeBlocks(300, 1000);
    const root = directoryOf(more);
    const [imported] = await Promise.all([take(carV1([root.cid], [...more, root])), store.gc(), store.gc()]);
    expect(imported.blocks).toBe(301);
    await expectKept(root, ...more);
  });
});

describe('a store that this program cannot use is left as it is, and says what to do', () => {
  test.each<[string, (path: string) => void, RegExp]>([
    [
      'of a newer version',
      (path) => change(path, 'PRAGMA user_version = 3'),
      /the blocks in .*store are of version 3, and this program knows 1: install the newer program again/,
    ],
    [
      'of no version that was ever released',
      (path) => {
        rmSync(path);
        change(path, 'CREATE TABLE block (id)');
      },
      /are of version 0, and this program knows 1: move the directory away/,
    ],
    ['no database', (path) => writeFileSync(path, 'x'.repeat(9000)), /the local store in .* is damaged: move it away/],
  ])('%s', async (_name, spoil, line) => {
    await take(carV1([FIRST.cid], [FIRST]));
    await store.close();
    const path = scratch.at('store', 'blocks.db');
    const whole = readFileSync(path);
    spoil(path);
    const spoilt = readFileSync(path);
    const refused = open();
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(refused).rejects.toThrow(line);
    expect(Buffer.compare(readFileSync(path), spoilt)).toBe(0);
    writeFileSync(path, whole);
    store = await open();
    await expectKept(FIRST);
  });
});

test('bytes that are expected are read as ever, and a file that is gone meanwhile is nobody’s failure', async () => {
  const large = Array.from({ length: 6 }, (_, seed) => noise(100_000, seed));
  await take(carV1([(large[0] as Block).cid], large));
  for (const name of files().slice(0, 2)) rmSync(scratch.at('store', name));
  for (const { cid, bytes } of large) store.expect(blockKey(cid), 10, bytes.length + 10);
  store.expect(blockKey(FIRST.cid), 0, 10);
  const read = await Promise.all(large.map(({ cid }) => store.get(blockKey(cid))));
  expect(read.filter(Boolean)).toHaveLength(4);
});

describe('the ends of a large block', () => {
  const large = noise(100_000, 7);
  const ends = () => store.ends(blockKey(large.cid));

  test('are known without its file', async () => {
    await take(carV1([large.cid], [large]));
    for (const name of files()) rmSync(scratch.at('store', name));
    const { sizeBytes, head, tail } = ends() ?? expect.unreachable();
    expect(sizeBytes).toBe(large.bytes.length);
    expect(Buffer.from(head)).toEqual(Buffer.from(large.bytes.subarray(0, head.length)));
    expect(Buffer.from(tail)).toEqual(Buffer.from(large.bytes.subarray(-tail.length)));
  });

  test.each(['ends', 'size'])('are none where a bit of the %s was flipped', async (column) => {
    await take(carV1([large.cid], [large]));
    await store.close();
    const path = scratch.at('store', 'blocks.db');
    if (column === 'size') change(path, 'UPDATE block SET size = size - 1');
    else change(path, "UPDATE block SET ends = substr(ends, 1, 20) || x'00' || substr(ends, 22)");
    store = await open();
    expect(ends()).toBeUndefined();
  });

  test.each([
    ['before there were any', 'ALTER TABLE block DROP COLUMN ends'],
    ['that called itself 2 for them', 'PRAGMA user_version = 2'],
  ])('are none of a small block, and what a program kept %s is read as ever', async (_when, done) => {
    await take(carV1([large.cid], [large, FIRST]));
    await store.close();
    change(scratch.at('store', 'blocks.db'), done);
    store = await open();
    await expectKept(large, FIRST);
    await take(carV1([SECOND.cid], [SECOND]));
    await reopen();
    await expectKept(large, FIRST, SECOND);
    expect(ends() === undefined).toBe(done.includes('DROP'));
    expect(store.ends(blockKey(FIRST.cid))).toBeUndefined();
  });

  test('are no hindrance to the program before, which knows no such column', async () => {
    await take(carV1([large.cid], [large, FIRST]));
    await store.close();
    const database = new DatabaseSync(scratch.at('store', 'blocks.db'));
    // Its own statements.
    expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: 1 });
    const [row] = database.prepare('SELECT id, key, size, checksums, data FROM block WHERE data IS NOT NULL').all();
    const { id, key, size, checksums, data } = row ?? expect.unreachable();
    database.prepare('DELETE FROM block WHERE id = ?').run(id as number);
    database
      .prepare('INSERT INTO block (id, key, size, checksums, data) VALUES (?, ?, ?, ?, ?)')
      .run(...([id, key, size, checksums, data] as SQLInputValue[]));
    database.close();
    store = await open();
    await expectKept(large, FIRST);
    expect(ends()?.sizeBytes).toBe(large.bytes.length);
  });
});

test('a block that is damaged on the disk is absent, said, and kept anew by the next import of it', async () => {
  const car = carV1([ROOT.cid], [ROOT, ...ALL]);
  await take(car);
  for (const name of files()) writeFileSync(scratch.at('store', name), 'damaged');
  await take(car);
  await expectKept(ROOT, ...ALL);
  for (const name of files()) rmSync(scratch.at('store', name));
  // A file that is open is read on.
  await reopen();
  gone.length = 0;
  for (const { cid } of [SECOND, THIRD]) expect(await store.get(blockKey(cid))).toBeUndefined();
  expect(gone).toEqual([SECOND, THIRD].map(({ cid, bytes }) => [blockKey(cid), bytes.length]));
  await take(car);
  await reopen();
  await expectKept(ROOT, ...ALL);
});

function change(path: string, statement: string): void {
  const database = new DatabaseSync(path);
  database.exec(statement);
  database.close();
}
