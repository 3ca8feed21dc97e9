/**
 * Docker's volume plugin protocol over a real unix socket: each test is named by what of the engine's behaviour it
 * answers to. The engine itself is in `test/docker/`.
 */
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import fc from 'fast-check';
import { Client } from 'undici';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { driver } from '../../plugin/daemon/driver.ts';
import { pluginRoutes } from '../../plugin/daemon/routes.ts';
import { type ListeningSocket, listenOnSocket } from '../../plugin/daemon/server.ts';
import { CALL_ID_HEADER, GIVEN_UP_HEADER } from '../../plugin/supervisor/relayed-call.ts';
import { CodedError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { ContentResolver } from '../../src/volumes/content-resolver.ts';
import { StateFile } from '../../src/volumes/state-file.ts';
import { mountsOf } from '../../src/volumes/volume-record.ts';
import { VolumeRegistry } from '../../src/volumes/volume-registry.ts';
import { VolumeStatuses } from '../../src/volumes/volume-status.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const CID = 'bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku';

let directory: string;
let socket: ListeningSocket;
let client: Client;
let registry: VolumeRegistry;
let logger: RecordingLogger;
let resolve: ContentResolver['resolve'];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ipfs-volume-protocol-'));
  resolve = async () => ({ cid: CID, kind: 'directory' });
  const defaults = { prefetch: 'auto', timeoutMs: 1000 } as const;
  registry = new VolumeRegistry({
    state: new StateFile(directory, silentLogger()),
    connection: 'c1',
    mountRoot: '/mnt/volumes',
    tree: { addVolume: () => undefined, removeVolume: () => true },
    content: {
      resolve: (options, signal) => resolve(options, signal),
      resolveHere: async () => undefined,
      isHere: () => true,
    },
    defaults,
    logger: silentLogger(),
  });
  const statuses = new VolumeStatuses({
    registry,
    defaults,
    mounted: () => undefined,
    progress: () => undefined,
    count: () => undefined,
    hasProfile: (name) => name === 'kept',
  });
  logger = new RecordingLogger();
  const app = express();
  app.use(pluginRoutes(driver(registry, statuses), logger));
  socket = await listenOnSocket(join(directory, 'ipfs.sock'), app);
  client = new Client('http://docker', { connect: { socketPath: socket.path } });
});
afterEach(async () => {
  await client.destroy();
  await socket.close(0);
  rmSync(directory, { recursive: true, force: true });
});

/** Every field that any answer may have. */
interface Reply {
  readonly Err: string;
  readonly Mountpoint: string;
  readonly Volume: { readonly CreatedAt: string; readonly Status: Readonly<Record<string, unknown>> };
  readonly Volumes: readonly unknown[];
}

async function post(verb: string, body: unknown = {}, headers: Record<string, string> = {}) {
  const path = verb.includes('.') ? `/${verb}` : `/VolumeDriver.${verb}`;
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  const reply = await client.request({ method: 'POST', path, body: text, headers });
  return { status: reply.statusCode, type: reply.headers['content-type'], body: (await reply.body.json()) as Reply };
}

describe('the volume plugin protocol', () => {
  test('Activate and Capabilities', async () => {
    expect(await post('Plugin.Activate', '')).toMatchObject({ status: 200, body: { Implements: ['VolumeDriver'] } });
    expect(await post('Capabilities', '')).toMatchObject({ body: { Capabilities: { Scope: 'local' }, Err: '' } });
  });

  test('the answer is of the protocol’s own type, whatever type was sent, and none', async () => {
    for (const type of [undefined, 'text/plain', 'application/json', 'nonsense']) {
      const reply = await post('List', '{}', type === undefined ? {} : { 'content-type': type });
      expect(reply).toMatchObject({ status: 200, type: 'application/vnd.docker.plugins.v1.1+json' });
    }
    expect(await post('Create', { Name: CID }, { 'content-type': 'text/html' })).toMatchObject({ status: 200 });
  });

  test.each(['Create', 'Remove', 'Mount', 'Unmount', 'Path', 'Get'])(
    '%s without a body is 400, not a crash',
    async (verb) => {
      expect(await post(verb, '')).toMatchObject({ status: 400, body: { Err: 'the request has no body' } });
      expect(await post(verb, '[1]')).toMatchObject({ status: 400, body: { Err: /JSON object/ } });
      expect(await post(verb, '{"Name":')).toMatchObject({ status: 400, body: { Err: /not JSON/ } });
      expect(await post(verb, {})).toMatchObject({ status: 400, body: { Err: 'the request has no Name' } });
      expect(await post('List', '')).toMatchObject({ status: 200 });
    },
  );

  test('a Mount whose caller has gone is taken back by the name of its call, once', async () => {
    await post('Create', { Name: CID });
    const call = { [CALL_ID_HEADER]: 'leaves' };
    await post('Mount', { Name: CID, ID: 'id' }, { [CALL_ID_HEADER]: 'stays' });
    await post('Mount', { Name: CID, ID: 'id' }, call);
    for (let times = 0; times < 2; times++) {
      const givenUp = await post('Mount', { Name: CID, ID: 'id' }, { ...call, [GIVEN_UP_HEADER]: '1' });
      expect(givenUp).toMatchObject({ status: 200, body: { Err: '' } });
    }
    expect((await post('Get', { Name: CID })).body.Volume.Status).toMatchObject({ mounts: 1 });
  });

  test('Get of an unknown name fails with the words that the engine looks for', async () => {
    expect(await post('Get', { Name: 'nothing' })).toMatchObject({ status: 500, body: { Err: /no such volume/ } });
    // Asked before Create: answering would mean that Create and its options are never sent.
    expect(await post('Get', { Name: CID })).toMatchObject({ status: 500 });
  });

  test('run, then rm: Create, Mount, Unmount, Remove', async () => {
    expect(await post('Create', { Name: CID, Opts: null })).toMatchObject({ status: 200, body: { Err: '' } });
    const mounted = await post('Mount', { Name: CID, ID: 'c1' });
    expect(mounted.body).toEqual({ Mountpoint: `/mnt/volumes/${CID}`, Err: '' });
    expect(await post('Path', { Name: CID })).toMatchObject({ body: { Mountpoint: `/mnt/volumes/${CID}` } });
    expect(await post('Remove', { Name: CID })).toMatchObject({ status: 500, body: { Err: /is mounted 1 time/ } });
    await post('Unmount', { Name: CID, ID: 'c1' });
    expect(await post('Remove', { Name: CID })).toMatchObject({ status: 200 });
    expect(await post('List', {})).toMatchObject({ body: { Volumes: [] } });
  });

  test('Get says that a profile of that name is not here, and that Docker asks for a name is no trouble', async () => {
    await post('Create', { Name: 'data', Opts: { cid: CID, profile: 'nope' } });
    await post('Create', { Name: 'other', Opts: { cid: CID, profile: 'kept' } });
    const profileOf = async (Name: string) => (await post('Get', { Name })).body.Volume.Status.profile;
    expect(await profileOf('data')).toMatch(/^"nope" is not known here: "ipfs-volume profile import --name nope FILE"/);
    expect(await profileOf('other')).toBeNull();
    await post('Get', { Name: 'nothing' });
    await post('Mount', { Name: 'nothing' });
    const refusals = logger.lines.filter(({ message }) => message === 'refused a call of Docker');
    expect(refusals.map(({ level }) => level)).toEqual(['debug', 'warn']);
  });

  test('Get has CreatedAt as RFC 3339 and Status, and a mountpoint only while mounted', async () => {
    await post('Create', { Name: 'data', Opts: { cid: `${CID}/sub` } });
    const before = (await post('Get', { Name: 'data' })).body.Volume;
    expect(before).not.toHaveProperty('Mountpoint');
    expect(before.CreatedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    expect(before.Status).toMatchObject({
      cid: null,
      path: 'sub',
      state: 'created',
      bytesTotal: null,
      bytesCached: 0,
      blocksFetched: 0,
      mounts: 0,
      lastError: null,
    });
    await post('Mount', { Name: 'data', ID: 'x' });
    expect((await post('Get', { Name: 'data' })).body.Volume).toMatchObject({
      Mountpoint: '/mnt/volumes/data',
      Status: { state: 'mounted', mounts: 1, cid: CID },
    });
  });

  test('trouble with IPFS fails Mount with its chain of causes, and never Get, List, Create or Remove', async () => {
    resolve = async () => {
      throw new CodedError('BLOCK_UNAVAILABLE', 'no source has the block', { cause: new Error('kubo: not found') });
    };
    await post('Create', { Name: CID });
    const mount = await post('Mount', { Name: CID, ID: 'x' });
    expect(mount).toMatchObject({ status: 500, body: { Err: 'no source has the block: kubo: not found' } });
    expect((await post('Get', { Name: CID })).body.Volume.Status).toMatchObject({
      state: 'failing',
      mounts: 0,
      lastError: 'no source has the block: kubo: not found',
    });
    expect((await post('List', {})).body.Volumes).toHaveLength(1);
    // No Unmount follows a failed Mount.
    expect(await post('Remove', { Name: CID })).toMatchObject({ status: 200 });
  });

  test('Unmount of an unknown ID succeeds', async () => {
    await post('Create', { Name: CID });
    expect(await post('Unmount', { Name: CID, ID: 'never' })).toMatchObject({ status: 200, body: { Err: '' } });
  });

  test('a Mount whose caller has gone is rolled back', async () => {
    const looking = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<{ cid: string; kind: 'directory' }>();
    resolve = () => {
      looking.resolve();
      return answer.promise;
    };
    await post('Create', { Name: CID });
    const caller = new AbortController();
    const body = JSON.stringify({ Name: CID, ID: 'gone' });
    const call = client.request({ method: 'POST', path: '/VolumeDriver.Mount', body, signal: caller.signal });
    await looking.promise;
    caller.abort();
    await expect(call).rejects.toThrow();
    // The server learns of the hang-up in its own time; the next call on the socket comes after it.
    await expect.poll(async () => (await post('List', {})).status).toBe(200);
    answer.resolve({ cid: CID, kind: 'directory' });
    await answer.promise;
    expect(mountsOf(registry.get(CID))).toBe(0);
  });

  test('a Mount that is called again while the first still waits counts once, for the caller that stayed', async () => {
    const answer = Promise.withResolvers<{ cid: string; kind: 'directory' }>();
    const looking = Promise.withResolvers<void>();
    resolve = () => {
      looking.resolve();
      return answer.promise;
    };
    await post('Create', { Name: CID });
    const impatient = new AbortController();
    const body = JSON.stringify({ Name: CID, ID: 'same' });
    const call = client.request({ method: 'POST', path: '/VolumeDriver.Mount', body, signal: impatient.signal });
    const given = expect(call).rejects.toThrow();
    await looking.promise;
    // On a connection of its own, as the engine makes one: the other is busy.
    const second = new Client('http://docker', { connect: { socketPath: socket.path } });
    const again = second.request({ method: 'POST', path: '/VolumeDriver.Mount', body });
    impatient.abort();
    await given;
    await expect.poll(async () => (await post('List', {})).status).toBe(200);
    answer.resolve({ cid: CID, kind: 'directory' });
    expect((await again).statusCode).toBe(200);
    await second.destroy();
    expect(mountsOf(registry.get(CID))).toBe(1);
    await post('Unmount', { Name: CID, ID: 'same' });
    expect(mountsOf(registry.get(CID))).toBe(0);
  });

  test('names with slashes, and Create again with other options', async () => {
    expect(await post('Create', { Name: `${CID}/a/b` })).toMatchObject({ status: 200 });
    expect(await post('Create', { Name: `${CID}/a/b`, Opts: { uid: '5' } })).toMatchObject({
      status: 500,
      body: { Err: /exists with other options: uid was not given and is now 5/ },
    });
  });

  test.each([
    [{ Name: '0'.repeat(64) }, /anonymous/],
    [{ Name: 'data' }, /neither the option cid= nor path=/],
    [{ Name: 'data', Opts: { cid: CID, speed: '9' } }, /unknown option "speed"/],
    [{ Name: 'data', Opts: { cid: 5 } }, /"cid" is no string/],
    [{ Name: 'data', Opts: [] }, /Opts is no object/],
  ])('Create refuses %j readably', async (body, reason) => {
    const reply = await post('Create', body);
    expect(reply.body.Err).toMatch(reason);
    expect(registry.list()).toEqual([]);
  });

  test('an unknown endpoint, and a body that is too large', async () => {
    expect(await post('Frobnicate', {})).toMatchObject({ status: 400, body: { Err: /no endpoint/ } });
    expect(await post('Create', 'x'.repeat(1024 * 1024 + 1))).toMatchObject({ status: 413, body: { Err: /large/ } });
  });

  test('any body at all is answered', async () => {
    const verbs = fc.constantFrom('Create', 'Remove', 'Mount', 'Unmount', 'Path', 'Get', 'List');
    const bodies = fc.oneof(
      fc.uint8Array({ minLength: 1 }),
      fc.json().map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(verbs, bodies, async (verb, body) => {
        const reply = await post(verb, body);
        expect(typeof reply.body.Err).toBe('string');
      }),
      { numRuns: 100 },
    );
  });
});

describe('the socket', () => {
  test('is root’s alone, whatever the umask', () => {
    expect(statSync(socket.path).mode & 0o777).toBe(0o600);
  });

  test('another daemon on it is refused; a dead one’s is taken over; what is no socket stays', async () => {
    await expect(listenOnSocket(socket.path, () => undefined)).rejects.toMatchObject({ code: 'STATE_LOCKED' });
    const dead = join(directory, 'dead.sock');
    const server = createServer().listen(dead);
    await new Promise((resolve) => server.once('listening', resolve));
    // A daemon that was killed leaves its socket; closing properly removes it.
    (server as unknown as { _handle: { close(): void } })._handle.close();
    const taken = await listenOnSocket(dead, () => undefined);
    await taken.close(0);
    const file = join(directory, 'file');
    writeFileSync(file, 'precious');
    chmodSync(file, 0o600);
    await expect(listenOnSocket(file, () => undefined)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('closes in bounded time with a call under way', async () => {
    const path = join(directory, 'slow.sock');
    const asked = Promise.withResolvers<void>();
    const slow = await listenOnSocket(path, () => asked.resolve());
    const caller = new Client('http://x', { connect: { socketPath: path } });
    const call = caller.request({ method: 'GET', path: '/' });
    const refused = expect(call).rejects.toThrow();
    await asked.promise;
    await slow.close(50);
    await refused;
    await caller.destroy();
  });
});
