/**
 * Content made by the real Kubo in every layout it knows, mounted through its RPC and through its gateway, and compared with
 * the tree that it was made of. Nothing is in the local store: every block comes from Kubo, and is verified.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startDaemon, type TestDaemon } from '../../support/daemon.ts';
import { type KuboNode, startKubo } from '../../support/kubo.ts';
import { describeWith } from '../../support/machine.ts';
import { expectSameTree, type Shown, type TreeEntry, treeOf, withoutMetadata } from './support/same-tree.ts';
import { noise } from './support/source-trees.ts';

/** What `ipfs add` is told, besides to be recursive and to take hidden files too. */
const LAYOUTS: Readonly<Record<string, readonly string[]>> = {
  'as it comes: CIDv0, leaves as dag-pb, 256 KiB': [],
  'CIDv1, raw leaves': ['--cid-version=1'],
  'CIDv1, leaves as dag-pb': ['--cid-version=1', '--raw-leaves=false'],
  'CIDv0, raw leaves': ['--cid-version=0', '--raw-leaves'],
  'chunks of 1 MiB': ['--cid-version=1', '--chunker=size-1048576'],
  'chunks of 1000 bytes, four levels': ['--cid-version=1', '--chunker=size-1000', '--max-file-links=8'],
  'rabin chunks': ['--chunker=rabin-16384-32768-65536'],
  'buzhash chunks': ['--cid-version=1', '--chunker=buzhash'],
  trickle: ['--trickle', '--chunker=size-10000'],
  'trickle, raw leaves, CIDv1': ['--trickle', '--cid-version=1', '--chunker=size-4096'],
  'small blocks in their CIDs': ['--cid-version=1', '--inline', '--inline-limit=100'],
  'sharded directories of fanout 16': ['--cid-version=1', '--max-directory-links=4', '--max-hamt-fanout=16'],
  'sharded directories of fanout 256, CIDv0': ['--max-directory-links=10', '--max-hamt-fanout=256'],
  'sha2-512': ['--hash=sha2-512'],
  blake3: ['--hash=blake3', '--chunker=size-100000'],
  'blake2b-256': ['--hash=blake2b-256'],
  'sha3-512, dag-pb leaves': ['--hash=sha3-512', '--raw-leaves=false'],
  'mode and mtime': ['--cid-version=1', '--raw-leaves=false', '--preserve-mode', '--preserve-mtime'],
  'mode and mtime, sharded, small chunks': [
    '--preserve-mode',
    '--preserve-mtime',
    '--max-directory-links=4',
    '--max-hamt-fanout=8',
    '--chunker=size-5000',
  ],
};

const MIB = 2 ** 20;

/** Sizes at both sides of the chunks above, directories large and small, links, names; about 4 MB. */
function makeTree(directory: string): void {
  mkdirSync(join(directory, 'sub', 'deep', 'deeper'), { recursive: true });
  mkdirSync(join(directory, 'empty'));
  for (const size of [0, 1, 100, 101, 9_999, 262_144, 262_145, MIB, MIB + 1]) {
    writeFileSync(join(directory, `${size}.bin`), noise(size, size + 1));
  }
  writeFileSync(join(directory, 'sub', 'zeros'), Buffer.alloc(700_000));
  mkdirSync(join(directory, 'many'));
  for (let index = 0; index < 300; index++) writeFileSync(join(directory, 'many', `entry ${index}`), `${index}`);
  for (const name of ['.hidden', 'new\nline', 'é', '日本語', 'back\\slash', 'n'.repeat(255)]) {
    writeFileSync(join(directory, 'sub', 'deep', name), name);
  }
  writeFileSync(Buffer.from(`${directory}/sub/not utf-8 \xff\xfe`, 'latin1'), 'x');
  symlinkSync('../../0.bin', join(directory, 'sub', 'deep', 'up'));
  symlinkSync('nowhere', join(directory, 'dangling'));
  chmodSync(join(directory, '1.bin'), 0o700);
  chmodSync(join(directory, '100.bin'), 0o4755);
  chmodSync(join(directory, 'empty'), 0o1777);
  utimesSync(join(directory, '100.bin'), 1_234_567_890.5, 1_234_567_890.5);
}

describeWith(['root', 'fuse', 'kubo'], 'content made by Kubo', () => {
  let scratch: string;
  let source: readonly TreeEntry[];
  let kubo: KuboNode;
  const daemons: TestDaemon[] = [];
  const roots = new Map<string, string>();

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'kubo-content-'));
    makeTree(join(scratch, 'tree'));
    source = await treeOf(join(scratch, 'tree'));
    kubo = await startKubo({ offline: true });
    for (const [layout, flags] of Object.entries(LAYOUTS)) {
      roots.set(
        layout,
        await kubo.line(['add', '-r', '-Q', '--hidden', '--pin=false', ...flags, join(scratch, 'tree')]),
      );
    }
    // Each has a cache of its own, so that neither sees what the other fetched.
    daemons.push(await startDaemon({ kuboRpc: kubo.rpcUrl }), await startDaemon({ gateways: [kubo.gatewayUrl] }));
  });

  afterAll(async () => {
    for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
    await kubo?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('no two layouts are the same content', () => {
    expect(new Set(roots.values()).size).toBe(Object.keys(LAYOUTS).length);
  });

  test.each(Object.entries(LAYOUTS))('%s', async (layout, flags) => {
    const root = roots.get(layout) ?? '';
    const shown: Shown = flags.includes('--preserve-mode') ? withMetadata : withoutMetadata;
    for (const [index, daemon] of daemons.entries()) {
      const name = `layout-${index}`;
      await expectSameTree(await daemon.mount(name, root, { prefetch: 'none' }), source, shown);
      await daemon.remove(name);
    }
  });

  test('a path below a root, and a single file of many blocks', async () => {
    const root = roots.get('trickle') ?? '';
    for (const daemon of daemons) {
      const below = source.filter(({ path }) => path.startsWith('/many'));
      const cut = below.map((entry) => ({ ...entry, path: entry.path.slice('/many'.length) }));
      await expectSameTree(await daemon.mount('below', `${root}/many`), cut, withoutMetadata);
      const file = source.filter(({ path }) => path === `/${MIB + 1}.bin`).map((entry) => ({ ...entry, path: '' }));
      await expectSameTree(await daemon.mount('file', `${root}/${MIB + 1}.bin`), file, withoutMetadata);
    }
  });
});

/** Kubo keeps no mode of symlinks; set-user-ID and its like are never shown. */
function withMetadata(entry: TreeEntry): TreeEntry {
  return { ...entry, mode: `0o${(Number(entry.mode) & 0o777).toString(8)}` };
}
