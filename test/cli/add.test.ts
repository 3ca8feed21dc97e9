import { hash } from 'node:crypto';
import { appendFileSync, mkdirSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CarBlockIterator } from '@ipld/car/iterator';
import { decode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { addTree } from '../../src/cli/add/add-tree.ts';
import { decodeProfile } from '../../src/prefetch/boot-profile.ts';
import { cidWithoutProfile, PROFILE_ENTRY, START_ENTRY } from '../../src/prefetch/shipped-profile.ts';
import { cidOf, contentKey } from '../../src/unixfs/content-key.ts';
import { readExtents } from '../../src/unixfs/read-extents.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../support/block-map.ts';
import { makeBlock } from '../support/make-block.ts';
import { ControlServer, json, readBody } from './support/control-server.ts';
import { runCommand } from './support/run-command.ts';
import { Scratch } from './support/scratch.ts';

/** Reads a CAR that names no root, checks every block against its CID, and answers as the daemon does. */
async function keep(car: Buffer): Promise<{ roots: string[]; blocks: number; bytes: number; cids: CID[] }> {
  const iterator = await CarBlockIterator.fromBytes(car);
  expect(await iterator.getRoots()).toEqual([]);
  const cids: CID[] = [];
  for await (const { cid, bytes } of iterator) {
    expect(Buffer.from(cid.multihash.digest).equals(hash('sha256', bytes, 'buffer'))).toBe(true);
    cids.push(cid);
  }
  return { roots: [String(cids.at(-1))], blocks: cids.length, bytes: car.length, cids };
}

function keepingServer(): Promise<ControlServer> {
  return ControlServer.start({
    'POST /ipfs-volume/import': async (request, response, asked) => {
      const body = await readBody(request, asked).catch(() => undefined);
      if (!body) return;
      const { roots, blocks, bytes } = await keep(body);
      response.end(JSON.stringify({ roots, blocks, bytes }));
    },
  });
}

function sampleTree(scratch: Scratch): string {
  const tree = scratch.at('tree');
  mkdirSync(scratch.at('tree', 'sub'), { recursive: true });
  writeFileSync(scratch.at('tree', '.hidden'), 'hidden');
  writeFileSync(scratch.at('tree', 'sub', 'file'), 'x'.repeat(3_000_000));
  symlinkSync('../nowhere', scratch.at('tree', 'sub', 'link'));
  return tree;
}

test('add streams the DAG as a CAR whose last block is the root, and prints the root', async () => {
  using scratch = new Scratch();
  await using server = await keepingServer();
  const tree = sampleTree(scratch);
  const { code, stdout, stderr } = await runCommand(['add', '--socket', server.socketPath, tree]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(server.asked[0]).toMatchObject({ method: 'POST', url: '/ipfs-volume/import?root=last' });

  const { cids } = await keep(server.asked[0]?.body ?? Buffer.alloc(0));
  expect(stdout).toBe(`${cids.at(-1)}\n`);
  const root = await addTree(tree, () => undefined, { keepMetadata: true });
  expect(root.cid.toString()).toBe(stdout.trim());
});

test('add --no-metadata gives the same CID whatever mode and mtime are; with metadata they count', async () => {
  using scratch = new Scratch();
  await using server = await keepingServer();
  const tree = sampleTree(scratch);
  const add = async (...options: string[]) =>
    (await runCommand(['add', '--socket', server.socketPath, ...options, tree])).stdout;
  const before = [await add('--no-metadata'), await add()];
  utimesSync(scratch.at('tree', 'sub', 'file'), 1, 1);
  const after = [await add('--no-metadata'), await add()];
  expect(after[0]).toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
});

test('add --json says what was kept', async () => {
  using scratch = new Scratch();
  await using server = await keepingServer();
  writeFileSync(scratch.at('one'), '');
  const { stdout } = await runCommand([
    'add',
    '--json',
    '--no-metadata',
    '--socket',
    server.socketPath,
    scratch.at('one'),
  ]);
  // The empty raw block, known everywhere.
  expect(JSON.parse(stdout)).toMatchObject({
    cid: 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku',
    blocks: 1,
  });
});

test('add draws progress on a terminal and only there', async () => {
  using scratch = new Scratch();
  await using server = await keepingServer();
  const tree = sampleTree(scratch);
  const { code, stderr } = await runCommand(['add', '--socket', server.socketPath, tree], { isTerminal: true });
  expect(code).toBe(0);
  // What is read, not the blocks that it becomes: the last picture is 100% of what there is.
  expect(stderr).toMatch(/adding .*100% (\S+ \S+) of \1, (\d+) of \2 entries/);
});

test('a PATH that is a symlink is followed', async () => {
  using scratch = new Scratch();
  const tree = sampleTree(scratch);
  symlinkSync(tree, scratch.at('current'));
  const direct = await addTree(tree, () => undefined, { keepMetadata: true });
  const followed = await addTree(scratch.at('current'), () => undefined, { keepMetadata: true });
  expect(followed.cid.toString()).toBe(direct.cid.toString());
});

test.each([
  ['that is not there', (_: Scratch) => 'absent', /absent: no such file or directory$/],
  [
    'with a name that is not UTF-8',
    (scratch: Scratch) => {
      mkdirSync(scratch.at('d'));
      writeFileSync(Buffer.concat([Buffer.from(`${scratch.at('d')}/caf`), Buffer.from([0xe9])]), '');
      return 'd';
    },
    /d\/caf\\xe9: its name is not UTF-8/,
  ],
])('add of a PATH %s is refused by name', async (_, make, reason) => {
  using scratch = new Scratch();
  let isAborted = false;
  await using server = await ControlServer.start({
    'POST /ipfs-volume/import': async (request, _response, asked) => {
      isAborted = await readBody(request, asked).then(
        () => false,
        () => true,
      );
    },
  });
  const path = scratch.at(make(scratch));
  const { code, stdout, stderr } = await runCommand(['add', '--socket', server.socketPath, path]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr.trimEnd()).toMatch(reason);
  expect(stderr.split('\n')).toHaveLength(2);
  // What was sent before was never finished: the daemon cannot take it for a whole CAR.
  if (server.asked.length > 0) await expect.poll(() => isAborted).toBe(true);
});

test('a special entry is refused by name, or passed over where that is asked for', async () => {
  using scratch = new Scratch();
  await using server = await keepingServer();
  // The daemon's own socket is as special as a device or a fifo, and needs no mknod.
  const folder = dirname(server.socketPath);
  writeFileSync(`${folder}/file`, 'x');
  const args = ['add', '--no-metadata', '--socket', server.socketPath];
  const refused = await runCommand([...args, folder]);
  const reason = 'neither a file, a directory nor a symlink; --skip-special passes such entries over';
  expect(refused).toEqual({ code: 1, stdout: '', stderr: `ipfs-volume: ${server.socketPath}: ${reason}\n` });

  mkdirSync(scratch.at('d'));
  writeFileSync(scratch.at('d', 'file'), 'x');
  const without = await runCommand([...args, scratch.at('d')]);
  const skipped = await runCommand([...args, '--skip-special', folder]);
  expect(skipped).toEqual({ code: 0, stdout: without.stdout, stderr: `skipped ${server.socketPath}\n` });
});

test.each([
  ['grows', (path: string) => appendFileSync(path, 'more')],
  ['shrinks', (path: string) => truncateSync(path, 1_500_000)],
  ['is touched', (path: string) => utimesSync(path, 1, 1)],
])('a file that %s while it is read is refused', async (_, change) => {
  using scratch = new Scratch();
  const path = scratch.at('file');
  writeFileSync(path, Buffer.alloc(4_000_000, 'x'));
  let changed = false;
  const emit = () => {
    if (!changed) change(path);
    changed = true;
    return undefined;
  };
  await expect(addTree(path, emit, { keepMetadata: false })).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    message: expect.stringContaining(`${path}: changed while it was being read`),
  });
});

test("a full disk in the daemon ends add with the daemon's words, in the middle of the transfer", async () => {
  using scratch = new Scratch();
  await using server = await ControlServer.start({
    'POST /ipfs-volume/import': (request, response) => {
      request.once('data', () => {
        response.writeHead(507, { connection: 'close' });
        response.end(JSON.stringify({ code: 'STORE_FULL', message: 'the local store has no space left' }));
        request.destroy();
      });
    },
  });
  writeFileSync(scratch.at('large'), Buffer.alloc(50_000_000, 'y'));
  truncateSync(scratch.at('large'), 60_000_000);
  const { code, stdout, stderr } = await runCommand(['add', '--socket', server.socketPath, scratch.at('large')]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toBe('ipfs-volume: the local store has no space left\n');
});

test('a daemon that dies in the middle of the transfer is said to have gone', async () => {
  using scratch = new Scratch();
  await using server = await ControlServer.start({
    'POST /ipfs-volume/import': (request) => void request.once('data', () => request.socket.destroy()),
  });
  writeFileSync(scratch.at('large'), Buffer.alloc(50_000_000, 'y'));
  const { code, stderr } = await runCommand(['add', '--socket', server.socketPath, scratch.at('large')]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^ipfs-volume: the daemon at .* went away before it answered[^\n]*\n$/);
});

test('a daemon that kept something else is not believed', async () => {
  using scratch = new Scratch();
  await using server = await ControlServer.start({
    'POST /ipfs-volume/import': json({ roots: ['bafkqaaa'], blocks: 1, bytes: 1 }),
  });
  writeFileSync(scratch.at('file'), 'x');
  const { code, stderr } = await runCommand(['add', '--socket', server.socketPath, scratch.at('file')]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/the daemon kept bafkqaaa in place of bafy/);
});

test('add --profile ships the profile of the very tree, in place of any that stands there', async () => {
  using scratch = new Scratch();
  const tree = sampleTree(scratch);
  const cids: string[] = [];
  const rootNow = async () => {
    const { cid } = await addTree(tree, (block) => void cids.push(block.cid.toString()), { keepMetadata: false });
    return cid.toString();
  };
  const bare = await rootNow();
  // And a block of another tree, as an imported one may.
  const stranger = contentKey(makeBlock('of another tree').cid);
  const blocks = [...new Set(cids)].toReversed().concat(String(cidOf(stranger)));
  const profile = { version: 1, root: bare, runs: 2, blocks };
  writeFileSync(scratch.at('tree', 'more'), 'of which nobody has a profile');
  const other = await rootNow();
  rmSync(scratch.at('tree', 'more'));
  let last: { cid: CID; bytes: Uint8Array } | undefined;
  const sent = new BlockMap();
  await using server = await ControlServer.start({
    'POST /ipfs-volume/import': async (request, response, asked) => {
      const body = await readBody(request, asked).catch(() => undefined);
      if (!body) return;
      for await (const block of await CarBlockIterator.fromBytes(body)) {
        last = block;
        sent.put(block.cid, block.bytes);
      }
      response.end(JSON.stringify(await keep(body)));
    },
    [`GET /ipfs-volume/profiles/${bare}`]: json(profile),
    [`GET /ipfs-volume/profiles/${other}`]: json({ code: 'NOT_IN_STORE', message: 'there is none' }, 404),
  });
  const add = (path: string) => runCommand(['add', '--socket', server.socketPath, '--profile', '--no-metadata', path]);

  const shipped = await add(tree);
  expect(shipped).toMatchObject({ code: 0, stdout: `${last?.cid}\n` });
  expect(cidWithoutProfile(last?.bytes ?? new Uint8Array())).toBe(bare);
  const entry = decode(last?.bytes ?? new Uint8Array()).Links.find(({ Name }) => Name === PROFILE_ENTRY);
  expect(entry?.Hash.code).toBe(0x55);
  const taken = decodeProfile(Buffer.from(await sent.get(entry?.Hash as CID, { priority: 'demand' })).toString());
  expect([...taken.blocks.keys()]).toEqual(profile.blocks.slice(1).map((cid) => contentKey(CID.parse(cid))));

  // Its small blocks of this tree, whatever they are in it, are the leaves of one file, group by group.
  const grouped = taken.groups?.flatMap((group) => group.blocks) ?? [];
  const small = [...taken.blocks].filter(([key, size]) => size <= 256 * 1024 && key !== stranger).map(([key]) => key);
  expect(grouped).toEqual(small);
  expect(small.length).toBeGreaterThan(2);
  expect(small.length).toBeLessThan(taken.blocks.size - 1);
  const start = decode(last?.bytes ?? new Uint8Array()).Links.find(({ Name }) => Name === START_ENTRY);
  const want = { priority: 'demand' } as const;
  const whole = Buffer.concat(await Promise.all(small.map((key) => sent.get(cidOf(key), want))));
  const extents = await new UnixfsReader(sent).file(contentKey(start?.Hash as CID), whole.length).locate(0, 1e9, want);
  const bytes = Buffer.concat(await readExtents(sent, extents, want, () => undefined));
  expect(Buffer.compare(bytes, whole)).toBe(0);

  writeFileSync(scratch.at('tree', PROFILE_ENTRY), 'of yesterday');
  expect((await add(tree)).stdout).toBe(shipped.stdout);
  writeFileSync(scratch.at('tree', 'more'), 'of which nobody has a profile');
  const without = await add(tree);
  expect(without).toMatchObject({ code: 1, stdout: '' });
  expect(without.stderr).toContain(`the daemon has no boot profile of ${other}: run a container on it first`);

  expect((await add(scratch.at('tree', 'more'))).stderr).toMatch(/more: not a directory, so there is no place in it/);
  mkdirSync(scratch.at('many'));
  for (let index = 0; index < 1200; index++) writeFileSync(scratch.at('many', `${index}`.padStart(240, 'x')), '');
  expect((await add(scratch.at('many'))).stderr).toMatch(/many: has too many entries to hold \.ipfs-volume-profile/);
});
