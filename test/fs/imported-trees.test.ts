/**
 * A plain tree, imported by the ecosystem's importer with every chunker, layout and sharding there is, equals what the
 * file system shows; and any range of a file equals `slice()`. (Of an empty file, the importer makes nothing with rabin.)
 */
import fc from 'fast-check';
import { type ImportCandidate, type ImporterOptions, importer } from 'ipfs-unixfs-importer';
import { fixedSize, rabin } from 'ipfs-unixfs-importer/chunker';
import { balanced, flat, trickle } from 'ipfs-unixfs-importer/layout';
import type { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { BlockMap } from '../support/block-map.ts';
import { fileSystemOver, mountRoot } from '../support/mount-content.ts';
import { readBytes, type Tree, walk } from '../support/walk-file-system.ts';

interface Metadata {
  readonly mode?: number;
  readonly mtime?: { readonly secs: bigint; readonly nsecs?: number };
}

type Plain =
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly metadata: Metadata }
  | { readonly kind: 'symlink'; readonly target: string; readonly metadata: Metadata }
  | { readonly kind: 'directory'; readonly entries: ReadonlyMap<string, Plain>; readonly metadata: Metadata };

/** Seconds of 31 bits: ipfs-unixfs writes 2^31 and others wrongly (the decoders' own test goes further). */
const metadata: fc.Arbitrary<Metadata> = fc.record(
  {
    mode: fc.integer({ min: 0, max: 0o7777 }),
    mtime: fc.record(
      { secs: fc.bigInt({ min: -(2n ** 30n), max: 2n ** 31n - 1n }), nsecs: fc.integer({ min: 1, max: 999_999_999 }) },
      { requiredKeys: ['secs'] },
    ),
  },
  { requiredKeys: [] },
);

const name = fc
  .string({ unit: fc.constantFrom('a', 'b', 'Z', 'é', '中', '😀', '.', ' ', '%', '"'), minLength: 1, maxLength: 12 })
  .filter((text) => text !== '.' && text !== '..');

const { tree } = fc.letrec<{ tree: Plain; directory: Plain }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constant('file' as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }), metadata }),
    fc.record({ kind: fc.constant('symlink' as const), target: fc.string({ unit: 'binary', minLength: 1 }), metadata }),
    tie('directory'),
  ),
  directory: fc.record({
    kind: fc.constant('directory' as const),
    entries: fc.array(fc.tuple(name, tie('tree')), { maxLength: 12 }).map((pairs) => new Map(pairs)),
    metadata,
  }),
}));

const options: fc.Arbitrary<ImporterOptions> = fc
  .record({
    rawLeaves: fc.boolean(),
    leafType: fc.constantFrom('file' as const, 'raw' as const),
    reduceSingleLeafToSelf: fc.boolean(),
    cidVersion: fc.constantFrom(0 as const, 1 as const),
    chunker: fc.oneof(
      fc.integer({ min: 1, max: 400 }).map((chunkSize) => fixedSize({ chunkSize })),
      fc.constant(rabin({ minChunkSize: 16, maxChunkSize: 128, avgChunkSize: 32, window: 16 })),
    ),
    layout: fc.oneof(
      fc.integer({ min: 2, max: 8 }).map((maxChildrenPerNode) => balanced({ maxChildrenPerNode })),
      fc.integer({ min: 1, max: 4 }).map((layerRepeat) => trickle({ layerRepeat, maxChildrenPerNode: 3 })),
      fc.constant(flat()),
    ),
    shardSplitThresholdBytes: fc.constantFrom(0, 100, 262_144),
    shardFanoutBits: fc.constantFrom(3, 4, 8),
  })
  // With dag-pb leaves the importer wraps a small file with metadata twice.
  .map((how) => ({ ...how, reduceSingleLeafToSelf: how.reduceSingleLeafToSelf && how.rawLeaves }));

function* candidates(plain: Plain, path: string): Generator<ImportCandidate> {
  if (plain.kind === 'file') yield { path, content: plain.bytes, ...plain.metadata };
  else if (plain.kind === 'symlink') yield { path, link: plain.target, ...plain.metadata };
  else {
    yield { path, ...plain.metadata };
    for (const [child, inside] of plain.entries) yield* candidates(inside, `${path}/${child}`);
  }
}

async function importTree(plain: Plain, blocks: BlockMap, importerOptions: ImporterOptions): Promise<CID> {
  const store = { put: (cid: CID, bytes: Uint8Array) => blocks.put(cid, bytes) };
  let root: CID | undefined;
  for await (const entry of importer(candidates(plain, 'root'), store as never, importerOptions)) root = entry.cid;
  if (!root) throw new Error('nothing imported');
  return root;
}

/** What a raw block has no place for, the importer drops; what it takes for the default mode, it leaves out. */
function expected(plain: Plain, shown: Tree): unknown {
  const { mode, mtime } = plain.metadata;
  const writersDefault = plain.kind === 'directory' ? 0o755 : 0o644;
  const ours = { file: 0o444, directory: 0o555, symlink: 0o777 }[plain.kind];
  const attributes = {
    kind: plain.kind,
    mode: plain.kind === 'symlink' || mode === undefined || mode === writersDefault ? ours : mode & 0o777,
    mtimeSeconds: Number(mtime?.secs ?? 0n),
    mtimeNanoseconds: mtime?.nsecs ?? 0,
    uid: 7,
    gid: 8,
  };
  if (plain.kind === 'file') {
    return {
      kind: 'file',
      bytes: Buffer.from(plain.bytes).toString('latin1'),
      attributes: { ...attributes, sizeBytes: plain.bytes.length },
    };
  }
  if (plain.kind === 'symlink') {
    const target = Buffer.from(plain.target).toString('latin1');
    return { kind: 'symlink', target, attributes: { ...attributes, sizeBytes: target.length } };
  }
  const entries: Record<string, unknown> = {};
  for (const [child, inside] of plain.entries) {
    const key = Buffer.from(child).toString('latin1');
    entries[key] = expected(inside, (shown as Extract<Tree, { kind: 'directory' }>).entries[key] as Tree);
  }
  return { kind: 'directory', entries, attributes };
}

test('an imported tree is shown entry by entry, byte by byte, mode by mode', async () => {
  await fc.assert(
    fc.asyncProperty(tree, options, fc.boolean(), async (plain, importerOptions, remote) => {
      const blocks = new BlockMap();
      const root = await importTree(plain, blocks, importerOptions);
      if (remote) blocks.makeAllRemote();
      const fileSystem = fileSystemOver(blocks);
      const node = await mountRoot(fileSystem, root, { uid: 7, gid: 8 });
      const shown = await walk(fileSystem, node);
      expect(shown).toMatchObject(expected(plain, shown) as object);
      if (plain.kind === 'directory' && shown.kind === 'directory') {
        expect(Object.keys(shown.entries).length).toBe(plain.entries.size);
      }
    }),
    { numRuns: 150 },
  );
}, 60_000);

test('any range of a file of any layout equals slice()', async () => {
  const ranges = fc.array(fc.tuple(fc.nat(5000), fc.nat(5000)), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 4000, size: 'max' }),
      options,
      ranges,
      async (bytes, how, reads) => {
        const blocks = new BlockMap();
        const root = await importTree({ kind: 'file', bytes, metadata: {} }, blocks, how);
        const fileSystem = fileSystemOver(blocks);
        const node = await mountRoot(fileSystem, root);
        for (const [offset, length] of reads) {
          const read = await readBytes(fileSystem, node, offset, length);
          expect(read.equals(bytes.slice(offset, offset + length))).toBe(true);
        }
      },
    ),
    { numRuns: 150 },
  );
}, 60_000);
