/**
 * Exports of the local store: every CAR is read back and holds the DAG, whole, once and depth first; what is not here is an
 * error before anything is sent; whoever leaves ends it.
 */
import { code as DAG_PB_CODE, decode } from '@ipld/dag-pb';
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { chain, type MaybePromise } from '../../src/base/maybe-promise.ts';
import type { Scratch } from '../../src/base/scratch.ts';
import { type BlockKey, blockKey } from '../../src/blocks/block.ts';
import { verifyBlock } from '../../src/blocks/verify.ts';
import { readCar } from '../../src/sources/car-reader.ts';
import { type ExportedStore, exportDag } from '../../src/volumes/store-export.ts';
import { BlockMap } from '../support/block-map.ts';
import {
  type Child,
  cidOfBytes,
  DAG_CBOR,
  DAG_PB,
  DagBuilder,
  encodeDagPb,
  identityCid,
  RAW,
  varint,
} from '../support/dag-builder.ts';

const NEVER = new AbortController().signal;

/** A store over a map that counts what it is asked for; `later` answers reads in another turn, and knows no sizes. */
class MapStore implements ExportedStore {
  readonly map: BlockMap;
  readonly #later: boolean;
  unanswered = 0;
  reads = 0;
  onRead: (key: BlockKey) => void = () => {};

  constructor(map: BlockMap, later = false) {
    this.map = map;
    this.#later = later;
  }

  sizeOf(key: BlockKey): number | undefined {
    return this.#later ? undefined : this.map.blocks.get(key)?.length;
  }

  get(key: BlockKey): MaybePromise<Uint8Array | undefined> {
    this.reads++;
    this.onRead(key);
    const bytes = this.map.blocks.get(key);
    return this.#later ? new Promise((resolve) => setImmediate(resolve, bytes)) : bytes;
  }

  getRange(key: BlockKey, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    return chain(this.get(key), (bytes) => {
      if (!bytes || !scratch) return bytes?.subarray(start, end);
      const taken = scratch.take(end - start);
      taken.set(bytes.subarray(start, end));
      return taken;
    });
  }
}

async function exported(store: ExportedStore, root: CID): Promise<{ car: Buffer; blocks: number; bytes: number }> {
  const dag = await exportDag(store, root, NEVER);
  const pieces: Buffer[] = [];
  let isSending = false;
  await dag.write(async (bytes) => {
    expect(isSending).toBe(false);
    isSending = true;
    await new Promise((resolve) => setImmediate(resolve));
    // What is being sent is as it was.
    pieces.push(Buffer.from(bytes));
    isSending = false;
  }, NEVER);
  const car = Buffer.concat(pieces);
  expect(car.length).toBe(dag.carBytes);
  return { car, blocks: dag.blocks, bytes: dag.bytes };
}

async function contents(car: Uint8Array) {
  const { roots, blocks } = await readCar(
    (async function* () {
      yield car;
    })(),
  );
  const found: { cid: CID; bytes: Uint8Array }[] = [];
  for await (const block of blocks) found.push({ cid: block.cid, bytes: Uint8Array.from(block.bytes) });
  return { roots, found };
}

/** By another codec, recursively, as slowly as it likes. */
function depthFirst(map: BlockMap, root: CID): string[] {
  const met = new Set<string>();
  const followed = new Set<string>();
  const order: string[] = [];
  const visit = (cid: CID): void => {
    const key = blockKey(cid);
    const inline = cid.multihash.code === 0;
    const bytes = inline ? cid.multihash.digest : (map.blocks.get(key) as Uint8Array);
    if (!inline && !met.has(key)) order.push(cid.toString());
    met.add(key);
    if (cid.code !== DAG_PB_CODE || (!inline && followed.has(key))) return;
    followed.add(key);
    for (const { Hash } of decode(bytes).Links) visit(Hash);
  };
  visit(root);
  return order;
}

/** Nodes over what is there already: shared children, the same bytes by two codecs, CIDv0, identity leaves and nodes. */
const DAGS = fc
  .array(
    fc.record({
      kind: fc.constantFrom('raw', 'cbor', 'node', 'node', 'inline', 'inline node'),
      picks: fc.array(fc.tuple(fc.nat(), fc.constantFrom('as is', 'v0', 'raw')), { maxLength: 6 }),
      salt: fc.nat(5),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((steps) => {
    const map = new BlockMap();
    const made: CID[] = [];
    for (const { kind, picks, salt } of steps) {
      const children: Child[] = picks.flatMap(([pick, how], index) => {
        const cid = made[pick % Math.max(1, made.length)];
        return cid ? [{ cid: respelled(cid, how), name: `${index}` }] : [];
      });
      if (kind === 'raw') made.push(map.put(...named(RAW, Buffer.from([salt]))));
      else if (kind === 'cbor') made.push(map.put(...named(DAG_CBOR, Buffer.from([salt]))));
      else if (kind === 'inline') made.push(identityCid(RAW, Buffer.from([salt])));
      else if (kind === 'node') made.push(map.put(...named(DAG_PB, encodeDagPb(children, Buffer.from([salt])))));
      else made.push(identityCid(DAG_PB, encodeDagPb(children.filter(isShort).slice(0, 1))));
    }
    return { map, root: made.at(-1) as CID };
  });

function named(codec: number, bytes: Uint8Array): [CID, Uint8Array] {
  return [cidOfBytes(codec, bytes), bytes];
}

function isShort({ cid }: Child): boolean {
  return cid.byteLength < 60;
}

function respelled(cid: CID, how: string): CID {
  if (how === 'raw') return CID.createV1(RAW, cid.multihash);
  return how === 'v0' && cid.code === DAG_PB && cid.multihash.code === 0x12 ? cid.toV0() : cid;
}

test('a CAR holds every block of a DAG once, depth first, as the links spell them', async () => {
  await fc.assert(
    fc.asyncProperty(DAGS, fc.boolean(), async ({ map, root }, later) => {
      const { car, blocks, bytes } = await exported(new MapStore(map, later), root);
      const { roots, found } = await contents(car);
      expect(roots.map(String)).toEqual([root.toString()]);
      expect(found.map(({ cid }) => cid.toString())).toEqual(depthFirst(map, root));
      for (const block of found) verifyBlock(block.cid, block.bytes);
      expect({ blocks, bytes }).toEqual({
        blocks: found.length,
        bytes: found.reduce((sum, block) => sum + block.bytes.length, 0),
      });
    }),
  );
});

test('a block that is not here is named, before anything is sent', async () => {
  await fc.assert(
    fc.asyncProperty(DAGS, fc.nat(), fc.boolean(), async ({ map, root }, pick, later) => {
      const order = depthFirst(map, root);
      const text = order[pick % Math.max(1, order.length)];
      fc.pre(text !== undefined);
      map.remove(CID.parse(text as string));
      const message = text === root.toString() ? /has no block/ : `only a part of ${root}: block ${text} is missing`;
      const failed = exportDag(new MapStore(map, later), root, NEVER);
      await expect(failed).rejects.toMatchObject({ code: 'NOT_IN_STORE', message: expect.stringMatching(message) });
    }),
  );
});

test('a disk that gives no answer is not taken for a block that is not here', async () => {
  const store = new MapStore(new BlockMap());
  store.onRead = () => store.unanswered++;
  await expect(exportDag(store, cidOfBytes(RAW, Buffer.from('a')), NEVER)).rejects.toMatchObject({ code: 'INTERNAL' });
});

test('a block that goes between finding and sending breaks the CAR off, without an end', async () => {
  const map = new BlockMap();
  const builder = new DagBuilder(map);
  const leaf = builder.raw(Buffer.from('leaf'));
  const root = builder.directory([{ cid: leaf, name: 'leaf' }]);
  const dag = await exportDag(new MapStore(map), root, NEVER);
  map.remove(leaf);
  const sent: number[] = [];
  const send = async ({ length }: Uint8Array) => void sent.push(length);
  await expect(dag.write(send, NEVER)).rejects.toMatchObject({ code: 'NOT_IN_STORE' });
  expect(sent).toEqual([]);
});

test('what is no node by its bytes is an error that names it', async () => {
  const map = new BlockMap();
  const bad = new DagBuilder(map).block(DAG_PB, Buffer.from('\xff\xff no node', 'latin1'));
  const failed = exportDag(new MapStore(map), bad, NEVER);
  await expect(failed).rejects.toMatchObject({ code: 'DAG_INVALID', message: `block ${bad} cannot be followed` });
});

test('a chain of any length is followed, and a path of open nodes is bounded', async () => {
  const map = new BlockMap();
  const builder = new DagBuilder(map);
  const leaf = builder.raw(Buffer.from('leaf'));
  const chain = (length: number, more: readonly Child[]): CID => {
    let cid = leaf;
    for (let depth = 0; depth < length; depth++) {
      cid = builder.block(DAG_PB, encodeDagPb([{ cid }, ...more], Buffer.from(varint(depth))));
    }
    return cid;
  };
  expect((await exportDag(new MapStore(map), chain(50_000, []), NEVER)).blocks).toBe(50_001);
  const open = exportDag(new MapStore(map), chain(30_000, [{ cid: leaf }]), NEVER);
  await expect(open).rejects.toMatchObject({ code: 'DAG_INVALID', message: expect.stringContaining('20000') });
});

test('nodes far up are read again when their turn comes, and few of them', async () => {
  const map = new BlockMap();
  const builder = new DagBuilder(map);
  const leaf = identityCid(RAW, Buffer.from('x'));
  // Forty levels, each with so many entries that all of them together are far more than the walk holds.
  let below = builder.raw(Buffer.from('deepest'));
  for (let level = 0; level < 40; level++) {
    const many = Array.from({ length: 20_000 }, () => ({ cid: leaf }));
    below = builder.block(DAG_PB, encodeDagPb([{ cid: below }, ...many], Buffer.from([level])));
  }
  const store = new MapStore(map);
  const { blocks } = await exportDag(store, below, NEVER);
  expect(blocks).toBe(41);
  expect(store.reads).toBeGreaterThan(40);
  expect(store.reads).toBeLessThanOrEqual(80);
});

test('a walk leaves other work its turn', async () => {
  const map = new BlockMap();
  const builder = new DagBuilder(map);
  const parts = Array.from({ length: 20_000 }, (_, index) => ({ cid: builder.raw(Buffer.from(varint(index))) }));
  const root = builder.block(DAG_PB, encodeDagPb(parts));
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await exportDag(new MapStore(map), root, NEVER);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(3);
});

test('whoever leaves ends it: while it looks, and while it waits to send', async () => {
  const map = new BlockMap();
  const builder = new DagBuilder(map);
  const parts = Array.from({ length: 60 }, (_, index) => ({ cid: builder.raw(Buffer.alloc(1024 * 1024, index)) }));
  const root = builder.block(DAG_PB, encodeDagPb(parts));
  const left = new AbortController();
  const store = new MapStore(map);
  store.onRead = () => left.abort();
  await expect(exportDag(store, root, left.signal)).rejects.toMatchObject({ code: 'ABORTED' });

  store.onRead = () => {};
  const dag = await exportDag(store, root, NEVER);
  store.reads = 0;
  const { promise: never, reject: leave } = Promise.withResolvers<void>();
  const writing = dag.write(() => never, NEVER);
  // Nobody reads: one piece waits to be sent, one is filled, and the walk waits for them.
  await expect.poll(() => store.reads).toBeGreaterThan(3);
  await new Promise((resolve) => setImmediate(resolve));
  const reads = store.reads;
  expect(reads).toBeLessThan(7);
  leave(new CodedError('ABORTED', 'nobody takes it any more'));
  await expect(writing).rejects.toMatchObject({ code: 'ABORTED' });
  expect(store.reads).toBe(reads);
});
