/** Any tree: each of its blocks comes exactly once, in the order of the stages, and nothing that is here is fetched. */
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import type { MaybePromise } from '../../src/base/maybe-promise.ts';
import { type BlockKey, blockKey } from '../../src/blocks/block.ts';
import type { WantOptions } from '../../src/blocks/block-reader.ts';
import type { BlockEnds } from '../../src/blocks/block-store.ts';
import { BlockTally } from '../../src/blocks/block-tally.ts';
import { systemClock } from '../../src/blocks/clock.ts';
import { PRESENT } from '../../src/blocks/fingerprint-set.ts';
import { type FillOptions, fill } from '../../src/prefetch/fill.ts';
import { Plan, type PlannedBlock } from '../../src/prefetch/plan.ts';
import { START_ENTRY } from '../../src/prefetch/shipped-profile.ts';
import { CODEC_RAW, contentKey } from '../../src/unixfs/content-key.ts';
import { decodeUnixfsEntry } from '../../src/unixfs/unixfs-entry.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';

type Tree =
  | { readonly kind: 'raw' | 'leaf'; readonly seed: number }
  | { readonly kind: 'file'; readonly parts: readonly number[]; readonly deep: boolean; readonly raw: boolean }
  | { readonly kind: 'directory' | 'shard'; readonly children: readonly Tree[] };

// Seeds from a small range, so that trees share blocks.
const seed = fc.integer({ min: 0, max: 40 });
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.record({ kind: fc.constantFrom('raw' as const, 'leaf' as const), seed }),
    fc.record({
      kind: fc.constant('file' as const),
      parts: fc.array(seed, { minLength: 1, maxLength: 6 }),
      deep: fc.boolean(),
      raw: fc.boolean(),
    }),
    fc.record({
      kind: fc.constantFrom('directory' as const, 'shard' as const),
      children: fc.array(tie('tree'), { maxLength: 5 }),
    }),
  ),
}));

function build(dag: DagBuilder, node: Tree): CID {
  switch (node.kind) {
    case 'raw':
      return dag.raw(Buffer.from(`raw ${node.seed}`));
    case 'leaf':
      return dag.part([], Buffer.from(`leaf ${node.seed}`)).cid;
    case 'file': {
      const parts = node.parts.map((part) =>
        node.raw ? dag.rawPart(Buffer.from(`raw ${part}`)) : dag.part([], Buffer.from(`leaf ${part}`)),
      );
      return dag.part(node.deep ? parts.map((part) => dag.part([part])) : parts).cid;
    }
    default: {
      const children = node.children.map((child, index) => ({ name: `n${index}`, cid: build(dag, child) }));
      if (node.kind === 'shard' && children.length > 0) return dag.hamt(children, 8);
      return dag.directory(children);
    }
  }
}

/** Raw leaves that stand in directories. */
function entrySeeds(node: Tree): number[] {
  if (!('children' in node)) return [];
  return node.children.flatMap((child) => (child.kind === 'raw' ? [child.seed] : entrySeeds(child)));
}

/** Raw leaves that are parts of files. */
function partSeeds(node: Tree): readonly number[] {
  if ('children' in node) return node.children.flatMap(partSeeds);
  return node.kind === 'file' && node.raw ? node.parts : [];
}

class Recorded extends Plan {
  readonly handedOut: PlannedBlock[] = [];

  override next(): PlannedBlock | undefined {
    const block = super.next();
    if (block && !block.again) this.handedOut.push(block);
    return block;
  }
}

test('each block exactly once, stage by stage; what is here is not asked for', async () => {
  await fc.assert(
    fc.asyncProperty(tree, fc.func(fc.boolean()), async (shape, isHere) => {
      const blocks = new NamedBlocks();
      const root = build(new DagBuilder(blocks), shape);
      const all = [...blocks.blocks.keys()];
      const absent = [...blocks.cids.values()].filter((cid) => !isHere(cid.toString()));
      blocks.makeRemote(...absent);

      const tally = new BlockTally();
      // Another walk has marks of its own, and what was counted before is nothing that this one has met.
      const other = tally.lendMarks();
      for (const [key, bytes] of blocks.blocks) {
        if (!isHere(key)) continue;
        tally.here(key, bytes.length, false);
        other.marks.add(key, PRESENT << 2);
      }
      other.giveBack();
      const before = tally.blocksHere;
      const { marks, giveBack } = tally.lendMarks();
      const plan = new Recorded(contentKey(root), marks);
      let total = -1;
      const result = await fill(
        { blocks, cache: { has: () => true, waitingBytes: 0, preferNew: () => () => {} }, clock: systemClock },
        plan,
        {
          ...background(tally),
          onTotal: (bytes) => {
            total = bytes;
          },
        },
      );
      expect(result).toEqual({ missing: 0, stopped: undefined, lastError: undefined });
      giveBack();
      expect(tally.blocksHere).toBeGreaterThanOrEqual(before);
      expect([...blocks.blocks.keys()].filter((key) => marks.has(key)).length).toBe(tally.blocksHere);
      expect(marks.size).toBe(tally.blocksHere);
      const keys = plan.handedOut.map(({ key }) => key.slice(2));
      expect(new Set(keys).size).toBe(keys.length);
      expect(keys.sort()).toEqual([...all].sort());
      const stages = plan.handedOut.map(({ stage }) => stage);
      expect(stages).toEqual([...stages].sort());
      const asked = blocks.fetched.map(({ cid }) => blockKey(cid));
      expect(asked.sort()).toEqual(absent.map(blockKey).sort());
      const bytes = [...blocks.blocks.values()].reduce((sum, block) => sum + block.length, 0);
      // Raw leaves in directories have no size in these trees, and count only where they were fetched.
      expect(tally.bytesHere).toBeLessThanOrEqual(bytes);
      const [inDirectories, inFiles] = [entrySeeds(shape), partSeeds(shape)];
      if (inDirectories.length === 0) expect(total).toBeGreaterThan(0);
      // One that nobody says the size of, not even a file that it is a part of.
      if (inDirectories.some((each) => !inFiles.includes(each))) expect(total).toBe(-1);
    }),
    { numRuns: 200 },
  );
});

test('the file of a start takes no room of its own in what a volume measures: its leaves stand elsewhere in the tree', async () => {
  const blocks = new NamedBlocks();
  const dag = new DagBuilder(blocks);
  const leaves = [1, 2, 3, 4].map((fill) => dag.raw(Buffer.alloc(5000, fill)));
  const group = (cids: readonly CID[]) => dag.part(cids.map((cid) => ({ cid, size: 5000 })));
  const groups = [group(leaves.slice(0, 2)), group(leaves.slice(2))];
  const files = leaves.map((cid, index) => ({ name: `file ${index}`, cid, tsize: 5000 }));
  const start = { name: START_ENTRY, cid: dag.part(groups).cid };
  const root = dag.directory([start, ...files]);
  const innerBytes = [root, start.cid].reduce((sum, cid) => sum + (blocks.blocks.get(blockKey(cid))?.length ?? 0), 0);
  let total = -1;
  const parts = { blocks, cache: { has: () => true, waitingBytes: 0, preferNew: () => () => {} }, clock: systemClock };
  const onTotal = (bytes: number) => {
    total = bytes;
  };
  const tally = new BlockTally();
  const result = await fill(parts, new Plan(contentKey(root)), { ...background(tally), onTotal });
  expect(total).toBe(4 * 5000 + innerBytes);
  // It is brought like any other, its groups too.
  expect([result.missing, tally.blocksHere]).toEqual([0, blocks.blocks.size]);
});

test('leaves on the disk are counted by their ends, and not read', async () => {
  const blocks = new BlocksWithEnds();
  const dag = new DagBuilder(blocks);
  const leaves = [1, 2, 3].map((fill) => dag.part([], Buffer.alloc(5000, fill)));
  const root = dag.directory([{ name: 'file', cid: dag.part(leaves).cid }]);
  const tally = new BlockTally();
  const parts = { blocks, cache: { has: () => true, waitingBytes: 0, preferNew: () => () => {} }, clock: systemClock };
  const result = await fill(parts, new Plan(contentKey(root)), background(tally));
  expect(result.missing).toBe(0);
  expect(tally.bytesHere).toBe([...blocks.blocks.values()].reduce((sum, block) => sum + block.length, 0));
  expect(blocks.read.filter((cid) => leaves.some((leaf) => leaf.cid.equals(cid)))).toEqual([]);
});

test('a node is opened also where its bytes were met as a leaf of another file, as in a profile’s groups', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const inner = dag.part([1, 2].map((fill) => dag.rawPart(Buffer.alloc(5000, fill))));
  const asLeaf = {
    cid: CID.createV1(CODEC_RAW, inner.cid.multihash),
    size: blocks.blocks.get(blockKey(inner.cid))?.length ?? 0,
  };
  const start = dag.part([asLeaf, dag.rawPart(Buffer.from('another'))]);
  const root = dag.directory([
    { name: '.start', cid: start.cid },
    { name: 'large', cid: dag.part([inner, dag.rawPart(Buffer.from('the rest'))]).cid },
  ]);
  blocks.makeAllRemote();
  const tally = new BlockTally();
  const parts = { blocks, cache: { has: () => true, waitingBytes: 0, preferNew: () => () => {} }, clock: systemClock };
  const { marks, giveBack } = tally.lendMarks();
  expect((await fill(parts, new Plan(contentKey(root), marks), background(tally))).missing).toBe(0);
  giveBack();
  expect(new Set(blocks.fetched.map(({ cid }) => blockKey(cid)))).toEqual(new Set(blocks.blocks.keys()));
  expect(tally.blocksHere).toBe(blocks.blocks.size);
});

test('what comes after its end leaves no marks where the next walk has its own', () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const root = dag.directory([{ name: 'file', cid: dag.raw(Buffer.from('raw')) }]);
  const tally = new BlockTally();
  const { marks, giveBack } = tally.lendMarks();
  const plan = new Plan(contentKey(root), marks);
  const block = plan.next() as PlannedBlock;
  plan.end();
  giveBack();
  plan.open(block, decodeUnixfsEntry(block.key, blocks.blocks.get(blockKey(root)) as Uint8Array));
  expect(marks.size).toBe(0);
});

function background(tally: BlockTally): FillOptions {
  return { priority: 'background', tally, signal: new AbortController().signal, fetch: true };
}

class NamedBlocks extends BlockMap {
  readonly cids = new Map<BlockKey, CID>();

  override put(cid: CID, bytes: Uint8Array): CID {
    this.cids.set(blockKey(cid), cid);
    return super.put(cid, bytes);
  }
}

/** As on a disk, where the ends of large blocks are known without reading them. */
class BlocksWithEnds extends BlockMap {
  readonly read: CID[] = [];

  override get(cid: CID, options: WantOptions): MaybePromise<Uint8Array> {
    this.read.push(cid);
    return super.get(cid, options);
  }

  override ends(cid: CID): BlockEnds | undefined {
    const bytes = this.blocks.get(blockKey(cid));
    if (!bytes || bytes.length < 1000) return undefined;
    return { sizeBytes: bytes.length, head: bytes.subarray(0, 128), tail: bytes.subarray(-128) };
  }
}
