/**
 * Bad input, as a user meets it: on the command line, at Docker's Create and Mount, and in a read. Each is one clear error
 * that says what is wrong and what to do, and nothing is lost or left behind by it.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CarWriter } from '@ipld/car';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { errnoOf, shell } from '../../fuse/outside.ts';
import { startDaemon, type TestDaemon, until } from '../../support/daemon.ts';
import { type Behaviour, type GatewayServer, raw, startGatewayServer, status } from '../../support/gateway-server.ts';
import { describeWith } from '../../support/machine.ts';
import { makeBlock } from '../../support/make-block.ts';
import { addPath, ipfsVolume } from './support/command-line.ts';

const MIB = 2 ** 20;
/** As Kubo says it. */
const NOT_FOUND = status(
  500,
  { 'content-type': 'application/json' },
  '{"Message":"block was not found locally (offline): ipld: could not find it","Code":0,"Type":"error"}',
);
/** Not in any store. */
const ABSENT = makeBlock('nobody has this').cid.toString();

describeWith(['root', 'fuse'], 'bad input', () => {
  let scratch: string;
  let daemon: TestDaemon;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'bad-input-'));
    daemon = await startDaemon();
    mkdirSync(join(scratch, 'target'));
  });
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  const command = (...args: string[]) => ipfsVolume({ SOCKET: daemon.socketPath }, ...args);
  /** The one line that a command that fails says, without the program's name. */
  const complaint = async (...args: string[]) => {
    const { code, stdout, stderr } = await command(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^ipfs-volume: [^\n]*\n$/);
    return stderr.slice('ipfs-volume: '.length, -1);
  };

  describe('a reference', () => {
    test.each([
      [
        'notacid',
        '"notacid" is not a CID: one starts with "Qm", or with "b" as in "bafy…", or with the letter of another base',
      ],
      ['bafybeinotacid', '"bafybeinotacid" is not a CID: it is cut short or misspelt'],
      [
        'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3N',
        '"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3N" is not a CID: it is cut short or misspelt',
      ],
      ['/ipfs/', '"/ipfs/" is not a reference to IPFS content: there is nothing behind /ipfs/'],
      [
        'https://ipfs.io/ipfs/bafkqaaa',
        '"https://ipfs.io/ipfs/bafkqaaa" is not a reference to IPFS content: of a URL, give the part from /ipfs/ or /ipns/ on',
      ],
      ['/data', '"/data" is not a reference to IPFS content: a path starts with /ipfs/ or /ipns/'],
      ['bafkqaaa/../x', '"bafkqaaa/../x" is not a reference to IPFS content: ".." cannot stand in its path'],
    ])('%s', async (reference, said) => {
      expect(await complaint('mount', reference, join(scratch, 'target'))).toBe(said);
      await expect(daemon.create('bad', reference)).rejects.toThrow(`option cid=${reference} cannot be used: ${said}`);
      expect(await daemon.call('List', {})).toMatchObject({ Volumes: [] });
    });

    test('to what nobody has, with no source configured', async () => {
      expect(await complaint('mount', ABSENT, join(scratch, 'target'))).toBe(
        `block ${ABSENT} is not on this machine and no source is configured: set IPFS_VOLUME_KUBO_RPC or IPFS_VOLUME_GATEWAYS`,
      );
    });

    test('to a single file, at a directory; to a directory, at a file; at what is not there', async () => {
      const target = join(scratch, 'target');
      expect(await complaint('mount', 'bafkqaaa', target)).toBe(
        `${target}: bafkqaaa is a single file: give a file to mount it on`,
      );
      writeFileSync(join(scratch, 'file'), '');
      expect(await complaint('mount', 'bafyaabakaieac', join(scratch, 'file'))).toBe(
        `${scratch}/file: bafyaabakaieac is a directory, and this is a file`,
      );
      expect(await complaint('mount', 'bafkqaaa', join(scratch, 'no'))).toBe(
        `${scratch}/no: no such file or directory`,
      );
      expect(await complaint('mount', 'bafkqaaa/x', target)).toBe('bafkqaaa is a file, so there is no "x" in it');
    });
  });

  describe('what is added or imported', () => {
    test('a path that is absent, empty, special, unreadable, or a name that is not UTF-8', async () => {
      const tree = join(scratch, 'tree');
      mkdirSync(tree);
      expect(await complaint('add', join(tree, 'nothing'))).toBe(`${tree}/nothing: no such file or directory`);
      expect(await complaint('add', '')).toBe('"": no such file or directory');
      for (const make of ['mkfifo "$1/special"', 'mknod "$1/special" c 1 3', 'mknod "$1/special" b 7 0']) {
        await shell(make, tree);
        expect(await complaint('add', tree)).toBe(
          `${tree}/special: neither a file, a directory nor a symlink; --skip-special passes such entries over`,
        );
        expect(await command('add', '--skip-special', tree)).toMatchObject({
          code: 0,
          stderr: `skipped ${tree}/special\n`,
        });
        rmSync(join(tree, 'special'));
      }
      const name = Buffer.from([0x61, 0xff]);
      writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), name]), '');
      expect(await complaint('add', tree)).toBe(
        `${tree}/a\\xff: its name is not UTF-8, which IPFS requires; rename it`,
      );
    });

    test('a CAR that is none, is cut off, or holds a block over 2 MiB', async () => {
      const car = join(scratch, 'file.car');
      const kept = (await command('store', 'ls', '--json')).stdout;
      writeFileSync(car, Buffer.alloc(500, 'this is a text, not a CAR. '));
      expect(await complaint('import', car)).toMatch(/^this is no CAR: its header does not parse/);
      const { cid, bytes } = makeBlock(Buffer.alloc(2 * MIB + 1, 1));
      const { writer, out } = CarWriter.create(cid);
      const pieces: Uint8Array[] = [];
      const collected = (async () => {
        for await (const piece of out) pieces.push(piece);
      })();
      await writer.put({ cid, bytes });
      await writer.close();
      await collected;
      writeFileSync(car, Buffer.concat(pieces));
      expect(await complaint('import', car)).toMatch(/^block \S+ has 2097153 bytes, more than/);
      writeFileSync(car, (pieces[0] ?? new Uint8Array(0)).subarray(0, 40));
      expect(await complaint('import', car)).toMatch(/^the CAR is truncated: it ends after 40 bytes/);
      expect((await command('store', 'ls', '--json')).stdout).toBe(kept);
      expect(await complaint('import', scratch)).toBe(`${scratch}: is a directory; "ipfs-volume add" adds directories`);
    });
  });

  describe('a source', () => {
    let server: GatewayServer;
    beforeEach(async () => {
      server = await startGatewayServer();
    });
    afterEach(() => server.close());
    const good = makeBlock('the block as it is');

    /** As a Kubo RPC: it is one by its version, and answers a block as `behaviour` does. */
    const asKubo =
      (behaviour: Behaviour): Behaviour =>
      (request, response) =>
        request.url?.startsWith('/api/v0/version')
          ? status(200, { 'content-type': 'application/json' }, '{"Version":"0.43.1"}')(request, response)
          : behaviour(request, response);

    /** What a mount of `good` by a daemon with these sources fails with. */
    async function failure(other: TestDaemon, name: string, cid: unknown = good.cid): Promise<string> {
      return other.mount(name, String(cid)).then(
        () => 'mounted',
        (reason: Error) => reason.message,
      );
    }

    test.each([
      ['other bytes', raw(Buffer.from('a lie')), 'the 5 bytes received as block CID do not match it'],
      ['nothing at all', raw(new Uint8Array(0)), 'answers 200 with an empty body for block CID'],
      ['500', status(500, {}, 'out of order'), 'answers 500: out of order'],
      ['401', status(401, {}, 'who are you?'), 'refuses the authorization (401): who are you?'],
      ['403', status(403, {}, 'not you'), 'refuses the authorization (403): not you'],
      ['a page', status(200, { 'content-type': 'text/html' }, '<html>'), 'it serves no trustless content there'],
      ['404', status(404, {}, 'not here'), 'has no block CID (404): not here'],
    ])('a gateway that answers %s; and when it answers well, the volume mounts', async (_what, behaviour, said) => {
      server.behave(behaviour);
      await using other = await startDaemon({ gateways: [server.url], settings: { READ_TIMEOUT: '1s' } });
      const error = await failure(other, 'v');
      expect(error).toContain(said.replace('CID', String(good.cid)));
      expect(error).toContain(`gateway ${server.url}`);
      expect(error).not.toContain('\n');
      server.behave(raw(good.bytes));
      const mounted = () => other.call<{ Mountpoint: string }>('Mount', { Name: 'v', ID: '1' });
      await until('it mounts', () =>
        mounted().then(
          () => true,
          () => false,
        ),
      );
      expect(await shell('cat "$1/v"', other.mountRoot)).toBe('the block as it is');
    });

    test.each([
      ['other bytes', raw(Buffer.from('a lie')), 'the 5 bytes received as block CID do not match it'],
      ['that it has no such block', NOT_FOUND, 'block was not found locally (offline)'],
      ['401', status(401, {}, 'who are you?'), 'refuses the authorization (401): who are you?'],
      ['403', status(403, {}, '403 - Forbidden'), 'refuses the authorization (403): 403 - Forbidden'],
    ])('a Kubo RPC that answers %s', async (_what, behaviour, said) => {
      server.behave(asKubo(behaviour));
      await using other = await startDaemon({ kuboRpc: server.url, settings: { READ_TIMEOUT: '1s' } });
      const error = await failure(other, 'v');
      expect(error).toContain(said.replace('CID', String(good.cid)));
      expect(error).toContain(`kubo ${server.url}`);
    });

    test('one that is no Kubo, and one that is not there', async () => {
      server.behave(status(200, { 'content-type': 'text/html' }, '<html>'));
      await using stranger = await startDaemon({ kuboRpc: server.url, settings: { READ_TIMEOUT: '1s' } });
      expect(await failure(stranger, 'v')).toContain(`kubo ${server.url} is not a Kubo RPC: it answers 200 with`);
      await using nobody = await startDaemon({ kuboRpc: 'http://127.0.0.1:1', settings: { READ_TIMEOUT: '1s' } });
      expect(await failure(nobody, 'v')).toContain('kubo http://127.0.0.1:1 refused the connection');
    });

    test('a block over 2 MiB is refused from a gateway', async () => {
      const large = makeBlock(Buffer.alloc(2 * MIB + 1, 2));
      server.behave(raw(large.bytes));
      await using other = await startDaemon({ gateways: [server.url], settings: { READ_TIMEOUT: '1s' } });
      expect(await failure(other, 'v', large.cid)).toContain(`sends more than ${2 * MIB} bytes for block ${large.cid}`);
    });

    test('a block that is damaged in the cache is fetched again', async () => {
      const directory = mkdtempSync(join(scratch, 'cache-'));
      const block = makeBlock(Buffer.alloc(500_000, 'needle in the cache 0123456789 '));
      server.behave(raw(block.bytes));
      const options = { directory, gateways: [server.url] };
      {
        await using first = await startDaemon(options);
        await shell('cat "$1" > /dev/null', await first.mount('v', block.cid));
      }
      expect(flip(join(directory, 'state', 'cache'), 'needle in the cache')).toBeGreaterThan(0);
      const asked = server.requests.length;
      await using second = await startDaemon(options);
      await second.call('Mount', { Name: 'v', ID: 'v' });
      expect((await shell('sha256sum < "$1/v"', second.mountRoot)).slice(0, 64)).toBe(
        createHash('sha256').update(block.bytes).digest('hex'),
      );
      expect(server.requests.length).toBeGreaterThan(asked);
    });
  });

  test.each([
    ['small', 3_000],
    ['large', 900_000],
  ])('a %s block that is damaged in the local store is EIO, never other bytes', async (size, sizeBytes) => {
    const source = join(scratch, `damaged-${size}`);
    mkdirSync(source);
    const content = Buffer.alloc(sizeBytes, `needle ${size} 0123456789 `);
    writeFileSync(join(source, 'file'), content);
    writeFileSync(join(source, 'other'), 'whole');
    const directory = mkdtempSync(join(scratch, 'state-'));
    let root: string;
    {
      await using first = await startDaemon({ directory });
      root = await addPath(first.socketPath, source, '--no-metadata');
    }
    expect(flip(join(directory, 'state', 'store'), `needle ${size}`)).toBeGreaterThan(0);
    await using second = await startDaemon({ directory });
    const mounted = await second.mount('damaged', root, { prefetch: 'none' });
    expect(await errnoOf('open(p, "rb").read()', `${mounted}/file`)).toBe('EIO');
    expect(await shell('cat "$1/other"', mounted)).toBe('whole');
    expect((await second.status('damaged')).lastError).toMatch(/block \S+/);
  });

  describe('the daemon’s own', () => {
    test.each([
      [
        'a mount root that is not empty',
        (path: string) => writeFileSync(join(path, 'x'), ''),
        {},
        'the mount root PATH is not empty (it holds "x"): empty it, or set IPFS_VOLUME_MOUNT_ROOT to another',
      ],
      [
        'a mount root that is the system’s',
        () => undefined,
        { MOUNT_ROOT: '/usr' },
        'the mount root /usr is a directory of the system: set IPFS_VOLUME_MOUNT_ROOT to one of its own',
      ],
      ['a cache size that is none', () => undefined, { CACHE_SIZE: 'ten' }, /^IPFS_VOLUME_CACHE_SIZE cannot be used: /],
    ] as const)('%s', async (name, prepare, settings, said) => {
      const directory = mkdtempSync(join(scratch, 'own-'));
      const path = join(directory, 'mnt');
      mkdirSync(path);
      prepare(path);
      const { code, stdout, stderr } = await ipfsVolume(
        {
          SOCKET: join(directory, 's.sock'),
          MOUNT_ROOT: path,
          STATE_DIR: join(directory, 'state'),
          KUBO_RPC: '',
          GATEWAYS: '',
          ...settings,
        },
        'serve',
      );
      expect({ name, code, stdout }).toEqual({ name, code: 1, stdout: '' });
      const line = stderr.replace(/^ipfs-volume: /, '').trimEnd();
      expect(line).not.toContain('\n');
      if (typeof said === 'string') expect(line).toBe(said.replace('PATH', path));
      else expect(line).toMatch(said);
    });
  });
});

/** Changes one byte behind each `needle` in the files of `directory`; gives how many. */
function flip(directory: string, needle: string): number {
  let found = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = readFileSync(path);
    const at = bytes.indexOf(needle);
    if (at < 0) continue;
    bytes[at + needle.length] = (bytes[at + needle.length] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    found++;
  }
  return found;
}
