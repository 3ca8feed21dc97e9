import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { findSocket, socketCandidates } from '../../src/cli/find-socket.ts';
import { type Answer, ControlServer, json, readBody } from './support/control-server.ts';
import { runCommand } from './support/run-command.ts';
import { SAMPLE_STATUS, SAMPLE_VOLUME } from './support/sample-status.ts';
import { Scratch } from './support/scratch.ts';

const ENCODED = encodeURIComponent(SAMPLE_VOLUME.name);
const ROOT = { cid: 'bafyroot', blocks: 20, bytes: 3 * 1024 ** 2, addedAt: '2026-01-02T03:04:05Z' };

/** Runs a command against a daemon with one answer, and gives back what it was asked as well. */
async function against(route: string, answer: Answer, ...args: readonly string[]) {
  await using server = await ControlServer.start({ [route]: answer });
  const result = await runCommand(args, { env: { IPFS_VOLUME_SOCKET: server.socketPath } });
  return { ...result, asked: server.asked };
}

test('store ls shows roots with their sizes', async () => {
  const { code, stdout } = await against('GET /ipfs-volume/store', json([ROOT]), 'store', 'ls');
  expect(code).toBe(0);
  expect(stdout.split('\n')[1]).toMatch(/^bafyroot +3\.0 MiB +20 +2026-01-02T03:04:05Z$/);
});

test('store ls --json is what the daemon said', async () => {
  const { stdout } = await against('GET /ipfs-volume/store', json([ROOT]), 'store', 'ls', '--json');
  expect(JSON.parse(stdout)).toEqual([ROOT]);
});

test('store rm asks for that root, and says that its blocks stay', async () => {
  const result = await against(
    'DELETE /ipfs-volume/store/bafyroot',
    json({ removed: true }),
    'store',
    'rm',
    'bafyroot',
  );
  const stdout = 'forgot bafyroot; its blocks stay until "ipfs-volume store gc"\n';
  expect(result).toMatchObject({ code: 0, stdout, stderr: '' });
});

test('store rm names the mounted volumes of that root or below it, and no others', async () => {
  const root = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn';
  const asV1 = 'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354';
  const volumes = [
    { ...SAMPLE_VOLUME, name: 'whole', cid: asV1, reference: '/ipns/example.org' },
    { ...SAMPLE_VOLUME, name: 'below', reference: `/ipfs/${root}/sub` },
    { ...SAMPLE_VOLUME, name: 'idle', cid: asV1, mounts: 0 },
    { ...SAMPLE_VOLUME, name: 'other' },
  ];
  await using server = await ControlServer.start({
    [`DELETE /ipfs-volume/store/${root}`]: json({ removed: true }),
    'GET /ipfs-volume/status': json({ ...SAMPLE_STATUS, volumes }),
  });
  const result = await runCommand(['store', 'rm', root], { env: { IPFS_VOLUME_SOCKET: server.socketPath } });
  const stderr = 'whole, below are mounted: what "store gc" frees of it must come from a source again\n';
  expect(result).toMatchObject({ code: 0, stderr });
});

test('store rm of an unknown root is the error of the daemon', async () => {
  const answer = json({ code: 'NOT_IN_STORE', message: 'the store keeps no root bafyroot' }, 404);
  const result = await against('DELETE /ipfs-volume/store/bafyroot', answer, 'store', 'rm', 'bafyroot');
  expect(result).toMatchObject({ code: 1, stdout: '', stderr: 'ipfs-volume: the store keeps no root bafyroot\n' });
});

test('store gc says what it freed', async () => {
  const answer = json({ removedBlocks: 7, freedBytes: 2 * 1024 ** 2 });
  const { stdout } = await against('POST /ipfs-volume/store-gc', answer, 'store', 'gc');
  expect(stdout).toBe('freed 2.0 MiB in 7 blocks\n');
  const one = await against('POST /ipfs-volume/store-gc', json({ removedBlocks: 1, freedBytes: 12 }), 'store', 'gc');
  expect(one.stdout).toBe('freed 12 B in 1 block\n');
});

test('evict and prefetch name the volume percent-encoded', async () => {
  const evicted = await against(
    `POST /ipfs-volume/volumes/${ENCODED}/evict`,
    json({ freedBytes: 1024, keptBytes: 0, sharedWith: [] }),
    'evict',
    SAMPLE_VOLUME.name,
  );
  expect(evicted).toMatchObject({ code: 0, stdout: `${SAMPLE_VOLUME.name}: freed 1.0 KiB\n` });
  const whyKept = async (sharedWith: string[]) => {
    const stored = json({ freedBytes: 0, keptBytes: 4 * 1024 ** 2, sharedWith });
    const kept = await against(`POST /ipfs-volume/volumes/${ENCODED}/evict`, stored, 'evict', SAMPLE_VOLUME.name);
    return /: freed 0 B; 4\.0 MiB stay: (.*)\n$/.exec(kept.stdout)?.[1];
  };
  expect(await whyKept([])).toBe('the local store keeps them');
  expect(await whyKept(['b'])).toBe('the volume "b" has them too, or the local store keeps them');
  expect(await whyKept(['b', 'c', 'd', 'e'])).toBe(
    'the volumes "b", "c", "d", 1 other have them too, or the local store keeps them',
  );
  const fetched = await against(
    `POST /ipfs-volume/volumes/${ENCODED}/prefetch`,
    json(SAMPLE_VOLUME),
    'prefetch',
    SAMPLE_VOLUME.name,
  );
  expect(fetched).toMatchObject({ code: 0, stdout: `${SAMPLE_VOLUME.name}: 4.0 MiB on this machine\n` });
});

test('prefetch shows the bar of its volume on a terminal while it waits', async () => {
  const watched = Promise.withResolvers<void>();
  let pictures = 0;
  await using server = await ControlServer.start({
    'GET /ipfs-volume/status': (request, response, asked) => {
      pictures++;
      if (pictures === 2) watched.resolve();
      return json(SAMPLE_STATUS)(request, response, asked);
    },
    [`POST /ipfs-volume/volumes/${ENCODED}/prefetch`]: async (request, response, asked) => {
      await watched.promise;
      return json(SAMPLE_VOLUME)(request, response, asked);
    },
  });
  const args = ['prefetch', '--socket', server.socketPath, SAMPLE_VOLUME.name];
  const { code, stdout, stderr } = await runCommand(args, { isTerminal: true });
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${SAMPLE_VOLUME.name}: 4.0 MiB on this machine\n` });
  expect(stderr).toMatch(/25% {2}1\.0 MiB of 4\.0 MiB/);
});

test('status shows volumes, sources, store and cache', async () => {
  const { code, stdout } = await against('GET /ipfs-volume/status', json(SAMPLE_STATUS), 'status');
  expect(code).toBe(0);
  expect(stdout).toMatch(/prefetching +2 +1\.0 MiB +4\.0 MiB/);
  expect(stdout).toMatch(
    /gateway https:\/\/gateway\.example +FAILING 2 min 5 s +12 +12\.0 MiB +3 +33 +16 +answered 500 \(3 s ago\)\n/,
  );
  expect(stdout).toMatch(/cache +5\.0 MiB of 10\.0 GiB in 5 blocks/);
  expect(stdout).toMatch(/1 demand, 2 readahead, 3 metadata, 4 profile, 5 background/);
  expect(stdout).toMatch(/version 9\.8\.7, up 1 d 2 h/);
  // Nothing is mounted there on this machine: it is a plugin's own.
  expect(stdout).toMatch(/^mount root +\/mnt\/volumes \(as the daemon sees it\)$/m);
});

test('status says what is wrong with the cache, how often the daemon was replaced, and what is not known', async () => {
  const cache = { ...SAMPLE_STATUS.cache, trouble: 'nothing is cached: ENOSPC' };
  const volumes = [{ ...SAMPLE_VOLUME, counted: false, bytesCached: 0, bytesTotal: null }];
  const troubled = json({ ...SAMPLE_STATUS, cache, volumes, restarts: 4 });
  const { stdout } = await against('GET /ipfs-volume/status', troubled, 'status');
  expect(stdout).toMatch(/cache +5\.0 MiB of 10\.0 GiB in 5 blocks; nothing is cached: ENOSPC\n/);
  expect(stdout).toMatch(/version 9\.8\.7, up 1 d 2 h, 4 restarts since the mount was made\n/);
  expect(stdout).toMatch(/prefetching +2 +\? +unknown/);
});

test("status has the age of a source's last error, and its name but once a row", async () => {
  const sources = SAMPLE_STATUS.sources.map((source) => ({ ...source, lastError: `${source.name} answered 502` }));
  const { stdout } = await against('GET /ipfs-volume/status', json({ ...SAMPLE_STATUS, sources }), 'status');
  expect(stdout).toMatch(/^gateway https:\/\/gateway\.example +FAILING .* {2}answered 502 \(3 s ago\)$/m);
});

test('status of one volume, for people and for machines', async () => {
  const route = 'GET /ipfs-volume/status';
  const text = await against(route, json(SAMPLE_STATUS), 'status', SAMPLE_VOLUME.name);
  expect(text.stdout).toMatch(/^mounted +2 times, at \/mnt\/volumes\/sub \(as the daemon sees it\)$/m);
  expect(text.stdout).toMatch(/^options +timeout=30s$/m);
  const machine = await against(route, json(SAMPLE_STATUS), 'status', '--json', SAMPLE_VOLUME.name);
  expect(JSON.parse(machine.stdout)).toEqual(SAMPLE_VOLUME);
  const unknown = await against(route, json(SAMPLE_STATUS), 'status', 'other');
  expect(unknown).toMatchObject({ code: 1, stderr: 'ipfs-volume: no such volume: other\n' });
});

test('status --watch draws the share, the total and the source, until the daemon goes', async () => {
  let pictures = 0;
  const answer: Answer = (request, response, asked) => {
    pictures++;
    if (pictures > 2) return void request.socket.destroy();
    const source = SAMPLE_STATUS.sources.map((s) => ({ ...s, bytes: s.bytes * pictures }));
    return json({ ...SAMPLE_STATUS, sources: source })(request, response, asked);
  };
  await using server = await ControlServer.start({ 'GET /ipfs-volume/status': answer });
  const result = await runCommand(['status', '--watch', '--socket', server.socketPath], { isTerminal: true });
  expect(result.code).toBe(1);
  expect(result.stdout).toMatch(/25% {2}1\.0 MiB of 4\.0 MiB/);
  expect(result.stdout).toMatch(/latest from gateway https:\/\/gateway\.example\n {2}fetched 300 KiB/);
  expect(result.stdout).toMatch(/FAILING 2 min 5 s +\d.* answered 500 \(3 s ago\)/);
});

test('import streams the file and prints the roots as the daemon spells them, one a line', async () => {
  using scratch = new Scratch();
  writeFileSync(scratch.at('two.car'), 'the bytes of a CAR');
  const answer = json({ roots: ['QmFirst', 'bafysecond'], blocks: 2, bytes: 18 });
  const result = await against('POST /ipfs-volume/import', answer, 'import', scratch.at('two.car'));
  expect(result).toMatchObject({ code: 0, stdout: 'QmFirst\nbafysecond\n', stderr: '' });
  expect(result.asked[0]?.url).toBe('/ipfs-volume/import');
  expect(result.asked[0]?.body?.toString()).toBe('the bytes of a CAR');
});

test('import - reads standard input', async () => {
  await using server = await ControlServer.start({
    'POST /ipfs-volume/import': json({ roots: ['QmRoot'], blocks: 1, bytes: 3 }),
  });
  const result = await runCommand(['import', '--socket', server.socketPath, '-'], { stdin: Buffer.from('car') });
  expect(result).toMatchObject({ code: 0, stdout: 'QmRoot\n' });
  expect(server.asked[0]?.body?.toString()).toBe('car');
});

test('import of what is no file fails before anything is asked', async () => {
  using scratch = new Scratch();
  await using server = await ControlServer.start({});
  const absent = await runCommand(['import', '--socket', server.socketPath, scratch.at('absent.car')]);
  expect(absent).toMatchObject({
    code: 1,
    stderr: `ipfs-volume: ${scratch.at('absent.car')}: no such file or directory\n`,
  });
  const folder = await runCommand(['import', '--socket', server.socketPath, scratch.path]);
  expect(folder).toMatchObject({ code: 1, stderr: expect.stringContaining('is a directory') });
  expect(server.asked).toEqual([]);
});

test("import shows the daemon's refusal of a truncated CAR", async () => {
  using scratch = new Scratch();
  writeFileSync(scratch.at('bad.car'), 'x');
  const answer = json({ code: 'CAR_INVALID', message: 'the CAR ends in the middle\nof a block' }, 400);
  const result = await against('POST /ipfs-volume/import', answer, 'import', scratch.at('bad.car'));
  expect(result).toMatchObject({ code: 1, stderr: 'ipfs-volume: the CAR ends in the middle of a block\n' });
});

test.each([
  ["Docker's form", 500, JSON.stringify({ Err: 'mount: no root' }), /^ipfs-volume: mount: no root\n$/],
  ['HTML', 502, '<html>', /answered 502 without saying why/],
  ['a 404 of something that is not ours', 404, 'no', /answered 404 without saying why: is it an older version/],
  ['a 200 that is no JSON', 200, 'fine', /answered 200 without saying why/],
])('an answer in %s is one clear line', async (_, status, body, line) => {
  const answer: Answer = async (request, response, asked) => {
    await readBody(request, asked);
    response.writeHead(status).end(body);
  };
  const { code, stdout, stderr } = await against('GET /ipfs-volume/status', answer, 'status');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(line);
});

test('without a daemon the line names what was tried and how to start one', async () => {
  using scratch = new Scratch();
  const { code, stderr } = await runCommand(['status', '--socket', scratch.at('none.sock')]);
  expect(code).toBe(1);
  expect(stderr).toBe(
    `ipfs-volume: no daemon answers; tried ${scratch.at('none.sock')} (no such file). Start it with ` +
      '"ipfs-volume serve" or "docker plugin enable ipfs", as root, or name its socket with --socket\n',
  );
});

test('the socket is the one named, then the variable, then those of plugins', () => {
  using scratch = new Scratch();
  mkdirSync(scratch.at('0123abcd'));
  const usual = [[scratch.at('ipfs.sock')], [scratch.at('0123abcd', 'ipfs.sock')]];
  const search = { pluginDirectory: scratch.path };
  expect(socketCandidates({ ...search, socket: '/a', env: { IPFS_VOLUME_SOCKET: '/b' } })).toEqual([['/a']]);
  expect(socketCandidates({ ...search, env: { IPFS_VOLUME_SOCKET: '/b' } })).toEqual([['/b']]);
  expect(socketCandidates({ ...search, env: {} })).toEqual(usual);
  expect(socketCandidates({ ...search, env: { IPFS_VOLUME_SOCKET: '' } })).toEqual(usual);
});

test('of the sockets of several plugins that answer none is taken', async () => {
  using scratch = new Scratch();
  const listening = async (...names: string[]) => {
    const server = createServer((connection) => connection.end());
    await new Promise<void>((done) => server.listen(scratch.at(...names), done));
    return { [Symbol.asyncDispose]: () => new Promise<void>((done) => server.close(() => done())) };
  };
  for (const id of ['0123abcd', '4567cdef', 'left']) mkdirSync(scratch.at(id));
  const search = { env: {}, pluginDirectory: scratch.path };
  await using _first = await listening('0123abcd', 'ipfs.sock');
  expect(await findSocket(search)).toBe(scratch.at('0123abcd', 'ipfs.sock'));
  await using _second = await listening('4567cdef', 'ipfs.sock');
  const both = ['0123abcd', '4567cdef'].map((id) => scratch.at(id, 'ipfs.sock'));
  const error = await findSocket(search).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'USAGE', message: expect.stringContaining(both[0] as string) });
  expect(error).toMatchObject({ message: expect.stringContaining(both[1] as string) });
  // The service's own comes first, whatever plugins there are.
  await using _service = await listening('ipfs.sock');
  expect(await findSocket(search)).toBe(scratch.at('ipfs.sock'));
});

test("a dead daemon's socket is passed over for a plugin's that accepts", async () => {
  using scratch = new Scratch();
  mkdirSync(scratch.at('0123abcd'));
  writeFileSync(scratch.at('ipfs.sock'), '');
  const live = createServer((connection) => connection.end());
  await new Promise<void>((listening) => live.listen(scratch.at('0123abcd', 'ipfs.sock'), listening));
  try {
    const found = await findSocket({ env: {}, pluginDirectory: scratch.path });
    expect(found).toBe(scratch.at('0123abcd', 'ipfs.sock'));
  } finally {
    await new Promise((closed) => live.close(closed));
  }
});
