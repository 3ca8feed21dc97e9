import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { checkDisk } from '../../plugin/daemon/disk-checks.ts';
import { checkSources } from '../../plugin/source-checks.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import {
  checkDockerEngine,
  checkFuseDevice,
  checkKernel,
  checkMountPermission,
  checkMountProgram,
  checkStateDirectory,
} from '../../src/cli/doctor/machine-checks.ts';
import { checkPrivacy } from '../../src/cli/doctor/privacy-check.ts';
import { checkVisibleMount } from '../../src/cli/doctor/visible-mount-check.ts';
import type { Diagnosis } from '../../src/volumes/control-api.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { ControlServer, json } from './support/control-server.ts';
import { NO_PARTS, runCommand } from './support/run-command.ts';
import { SAMPLE_STATUS } from './support/sample-status.ts';
import { Scratch } from './support/scratch.ts';

const NO_SOURCES = await NO_PARTS.readConfiguration({});

/** A source on loopback for the time of `use`. */
async function withSource<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}

test.each([
  ['6.18.5-debian', 'ok'],
  ['6.9.0', 'ok'],
  ['6.8.12', 'warning'],
  ['5.4.0', 'warning'],
  ['5.3.18', 'failed'],
  ['4.19.0', 'failed'],
])('kernel %s is %s', (version, outcome) => {
  expect(checkKernel(version).outcome).toBe(outcome);
});

test('mount permission is bit 21 of the effective capabilities', () => {
  expect(checkMountPermission('CapPrm:\t0\nCapEff:\t0000000000200000\n').outcome).toBe('ok');
  const missing = checkMountPermission('CapPrm:\t0000000000200000\nCapEff:\t00000000a80425fb\n');
  expect(missing).toMatchObject({ outcome: 'failed', advice: expect.stringContaining('SYS_ADMIN') });
});

test('a /dev/fuse that is not there, or is no device, fails with the way to mend it', () => {
  using scratch = new Scratch();
  expect(checkFuseDevice(scratch.at('fuse'))).toMatchObject({
    outcome: 'failed',
    advice: expect.stringMatching(/modprobe fuse/),
  });
  writeFileSync(scratch.at('fuse'), '');
  expect(checkFuseDevice(scratch.at('fuse'))).toMatchObject({
    outcome: 'failed',
    advice: expect.stringMatching(/mknod/),
  });
});

test('mount(8) is looked for in PATH', () => {
  using scratch = new Scratch();
  expect(checkMountProgram(scratch.path).outcome).toBe('failed');
  writeFileSync(scratch.at('mount'), '', { mode: 0o755 });
  expect(checkMountProgram(`/nowhere:${scratch.path}`)).toMatchObject({ outcome: 'ok', detail: scratch.at('mount') });
});

test('a state directory is judged by its nearest ancestor', () => {
  using scratch = new Scratch();
  expect(checkStateDirectory(scratch.at('not', 'yet')).outcome).not.toBe('failed');
  expect(checkStateDirectory(scratch.at('not', 'yet')).detail).toMatch(/\/not\/yet, not there yet, .* free$/);
  writeFileSync(scratch.at('file'), '');
  expect(checkStateDirectory(scratch.at('file', 'below'))).toMatchObject({
    outcome: 'failed',
    detail: expect.stringMatching(/is no directory/),
  });
  mkdirSync(scratch.at('there'));
  expect(checkStateDirectory(scratch.at('there')).detail).toMatch(/\/there, [^,]* free$/);
});

test('a daemon whose cache cannot be written, or is full of pinned blocks, says so', async () => {
  using scratch = new Scratch();
  const logger = new RecordingLogger();
  const good = await DiskCache.open(scratch.at('good'), { limitBytes: 64 * 1024 ** 2, logger });
  expect(checkDisk(scratch.path, good, 1e9).map(({ check }) => check)).toEqual(['state directory', 'disk cache']);
  expect(checkDisk(scratch.path, good, 1e9)[1]).toMatchObject({ outcome: 'ok' });
  writeFileSync(scratch.at('bad'), '');
  const bad = await DiskCache.open(scratch.at('bad'), { limitBytes: 64 * 1024 ** 2, logger });
  expect(checkDisk(scratch.path, bad, 1e9)[1]).toMatchObject({
    outcome: 'failed',
    detail: expect.stringMatching(/^nothing is cached: ./),
    advice: expect.stringContaining(scratch.path),
  });
  await Promise.all([good.close(), bad.close()]);
  expect(checkDisk(scratch.path, { refusal: undefined, isFull: true }, 1e9)[1]).toMatchObject({
    outcome: 'warning',
    advice: expect.stringMatching(/CACHE_SIZE/),
  });
});

test('a Kubo that answers is ok, with its version and without its credentials', async () => {
  const authorization = `Basic ${Buffer.from('user:hidden').toString('base64')}`;
  const results = await withSource(
    (request, response) => {
      const isRight = request.url === '/api/v0/version' && request.headers.authorization === authorization;
      response.writeHead(isRight ? 200 : 403).end('{"Version":"0.43.1"}');
    },
    (url) => {
      const kuboRpc = url.replace('http://', 'http://user:hidden@');
      return checkSources({ ...NO_SOURCES, kuboRpc });
    },
  );
  expect(results).toEqual([expect.objectContaining({ outcome: 'ok', detail: 'version 0.43.1' })]);
  expect(JSON.stringify(results)).not.toMatch(/hidden/);
});

test.each([
  ['refuses', 403, '', /^refuses the authorization \(403\)/],
  ['is something else', 200, '<html>', /^is not a Kubo RPC/],
  ['answers without a version', 200, '{}', /^is not a Kubo RPC/],
])('a Kubo that %s is a warning that says so', async (_, status, body, detail) => {
  const results = await withSource(
    (_request, response) => response.writeHead(status).end(body),
    (kuboRpc) => checkSources({ ...NO_SOURCES, kuboRpc }),
  );
  expect(results[0]).toMatchObject({
    outcome: 'warning',
    detail: expect.stringMatching(detail),
  });
  expect(results[1]).toMatchObject({ check: 'sources', outcome: 'warning' });
});

test('a gateway is asked for the empty block and nothing else', async () => {
  const asked: (string | undefined)[] = [];
  const results = await withSource(
    (request, response) => {
      asked.push(request.url);
      response.end();
    },
    (url) => checkSources({ ...NO_SOURCES, gateways: [`${url}/base`] }),
  );
  expect(asked).toEqual(['/base/ipfs/bafkqaaa?format=raw']);
  expect(results).toEqual([expect.objectContaining({ outcome: 'ok' })]);
});

test.each([
  [404, undefined, /^answers 404, which/, /address of a trustless gateway/],
  [200, 'text/html', /^answers 200 text\/html, which/, /address of a trustless gateway/],
  [403, 'text/plain', /^answers 403 text\/plain, which/, /IPFS_VOLUME_GATEWAY_AUTH/],
  [503, undefined, /^answers 503, which/, /try again later/],
])(
  'a gateway that answers %s %s is reached: the advice is not of the network',
  async (status, type, detail, advice) => {
    const results = await withSource(
      (_request, response) => response.writeHead(status, type ? { 'content-type': type } : {}).end('x'),
      (url) => checkSources({ ...NO_SOURCES, gateways: [url] }),
    );
    expect(results[0]).toMatchObject({
      outcome: 'warning',
      detail: expect.stringMatching(detail),
      advice: expect.stringMatching(advice),
    });
    expect(results[1]?.detail).toMatch(/^none is usable: /);
  },
);

test('public gateways that nobody chose are told to see which CIDs are asked for', () => {
  const gateways = ['https://gateway.example'];
  expect(checkPrivacy({ ...NO_SOURCES, gateways, gatewaysAreDefault: true })[0]?.detail).toMatch(
    /operators see which CIDs are asked for/,
  );
  expect(checkPrivacy({ ...NO_SOURCES, gateways })).toEqual([]);
});

test('doctor shows what the daemon found, and fails with the names of what failed', async () => {
  const found: Diagnosis = { check: 'disk cache', outcome: 'failed', detail: 'read-only', advice: 'remount it' };
  await using server = await ControlServer.start({
    'GET /ipfs-volume/status': json(SAMPLE_STATUS),
    'GET /ipfs-volume/doctor': json([found]),
  });
  const text = await runCommand(['doctor', '--socket', server.socketPath]);
  expect(text.code).toBe(1);
  expect(text.stdout).toMatch(/^ok +daemon +version 9\.8\.7 on /m);
  expect(text.stdout).toMatch(/^failed +disk cache +read-only\n +-> remount it$/m);
  expect(text.stderr).toMatch(/^ipfs-volume: [^\n]*disk cache[^\n]*failed\n$/);
  const machine = await runCommand(['doctor', '--json', '--socket', server.socketPath]);
  expect(JSON.parse(machine.stdout)).toContainEqual(found);
});

test('a daemon whose mount is in a namespace of its own is a warning that says what to take out of its unit', async () => {
  expect(await checkVisibleMount('/somewhere/mnt', async () => false)).toMatchObject({
    outcome: 'warning',
    detail: expect.stringContaining('/somewhere/mnt'),
    advice: expect.stringMatching(/PrivateTmp/),
  });
  expect(await checkVisibleMount('/somewhere/mnt', async () => true)).toMatchObject({ outcome: 'ok' });
});

test('beside a daemon that answers, what this shell has in its environment is no matter', async () => {
  await using server = await ControlServer.start({
    'GET /ipfs-volume/status': json(SAMPLE_STATUS),
    'GET /ipfs-volume/doctor': json([]),
  });
  const readConfiguration = () => Promise.reject(new Error('IPFS_VOLUME_CACHE_SIZE: "ten" is not a size'));
  const { stdout } = await runCommand(['doctor', '--json', '--socket', server.socketPath], {
    parts: { readConfiguration },
  });
  expect((JSON.parse(stdout) as Diagnosis[]).map(({ check }) => check)).not.toContain('configuration');
});

test('the engine is looked for where DOCKER_HOST says', async () => {
  const result = await withSource(
    (request, response) => response.end(request.url === '/version' ? '{"Version":"28.1.2"}' : ''),
    (url) => runCommand(['doctor', '--json'], { env: { DOCKER_HOST: url.replace('http:', 'tcp:') } }),
  );
  const engineOf = ({ stdout }: { stdout: string }) =>
    (JSON.parse(stdout) as Diagnosis[]).find(({ check }) => check === 'docker engine');
  expect(engineOf(result)).toMatchObject({ outcome: 'ok', detail: 'version 28.1.2' });
  using scratch = new Scratch();
  const gone = scratch.at('none.sock');
  expect(await checkDockerEngine(`unix://${gone}`)).toMatchObject({
    outcome: 'warning',
    detail: `none answers on ${gone} (ENOENT)`,
  });
  expect(await checkDockerEngine('ssh://somewhere')).toMatchObject({
    outcome: 'warning',
    detail: expect.stringMatching(/^not asked: DOCKER_HOST=ssh:/),
  });
});

test('doctor without a daemon checks the configuration itself, and names a variable that cannot be read', async () => {
  using scratch = new Scratch();
  const args = ['doctor', '--json', '--socket', scratch.at('none.sock')];
  const loadSourceChecks = async () => checkSources;
  const alone = JSON.parse((await runCommand(args, { parts: { loadSourceChecks } })).stdout) as Diagnosis[];
  expect(alone).toContainEqual(expect.objectContaining({ check: 'sources', outcome: 'warning' }));
  expect(alone.find(({ check }) => check === 'daemon')).toEqual({
    check: 'daemon',
    outcome: 'warning',
    detail: `no daemon answers; tried ${scratch.at('none.sock')} (no such file)`,
    advice: expect.stringMatching(/^Start it with "ipfs-volume serve" or .* --socket$/),
  });
  const state = alone.find(({ check }) => check === 'state directory');
  expect(state?.detail).toMatch(/ \(of "ipfs-volume serve" in this shell; a plugin has its own\)$/);
  const readConfiguration = () => Promise.reject(new Error('IPFS_VOLUME_CACHE_SIZE: "ten" is not a size'));
  const wrong = await runCommand(args, { parts: { readConfiguration } });
  expect(wrong.code).toBe(1);
  expect(JSON.parse(wrong.stdout)).toContainEqual(
    expect.objectContaining({
      check: 'configuration',
      outcome: 'failed',
      detail: expect.stringContaining('CACHE_SIZE'),
    }),
  );
});
