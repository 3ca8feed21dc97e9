/**
 * Secrets are shown nowhere: a daemon is given credentials wherever they can stand, speaks to servers and proxies that
 * repeat all that they are sent in their errors, logs all it has to say, and everything that can be asked of it is asked.
 * What comes out is searched for every secret, in each of its spellings.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CONTROL_PATHS } from '../../src/volumes/control-api.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { describeWith } from '../support/machine.ts';
import { makeBlock } from '../support/make-block.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
const IPNS_KEY = 'k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r';
/** Answers that a source might give, each once more for every call. */
const STATUSES = [500, 403, 404, 429, 200];

/** A secret, and how it might look where it is shown. */
function spellings(user: string, password: string): string[] {
  return [password, encodeURIComponent(password), Buffer.from(`${user}:${password}`).toString('base64')];
}

const PASSWORDS = {
  kubo: 'kubo-P4ssw0rd!x',
  gateway: 'gateway-P4ssw0rd!x',
  query: 'query-t0ken-9911',
  proxy: 'proxy-P4ssw0rd!x',
  tunnel: 'tunnel-P4ssw0rd!x',
  kuboHeader: 'kubo-header-t0ken-77',
  gatewayHeader: 'gateway-header-t0ken-88',
};
const SECRETS = Object.entries(PASSWORDS).flatMap(([name, password]) => spellings(`${name}-user`, password));

const asked: string[] = [];
const servers: Server[] = [];

/** Repeats what it was asked, in the form in which the asked one complains. */
async function startParrot(): Promise<string> {
  const answer = (request: IncomingMessage) => {
    const told = `${request.method} ${request.url} ${JSON.stringify(request.headers)}`;
    asked.push(told);
    return told;
  };
  const server = createServer((request, response) => {
    const told = answer(request);
    const status = STATUSES[asked.length % STATUSES.length] ?? 500;
    if (request.url?.startsWith('/api/v0/version')) response.writeHead(200).end('{"Version":"0.43.1"}');
    else if (request.url?.startsWith('/api/')) {
      response.writeHead(status, { 'content-type': 'application/json', server: 'kubo/0.43.1' });
      response.end(JSON.stringify({ Message: told, Code: 0, Type: 'error' }));
    } else
      response.writeHead(status, { 'content-type': 'text/plain', location: `http://other${request.url}` }).end(told);
  });
  server.on('connect', (request, socket) => {
    const told = answer(request);
    socket.end(`HTTP/1.1 407 ${told.replace(/[^\x20-\x7e]/g, ' ').slice(0, 500)}\r\n\r\n${told}`);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  servers.push(server);
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What a program says on both outputs, however it ends. Not in this thread's way: the parrot lives here. */
async function outputOf(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve) => {
    const options = { timeout: 30_000, env: { PATH: process.env.PATH, ...env } };
    execFile(program, args, options, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
}

/** The command line, far from any daemon but the one that `env` names. */
function cli(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const nowhere = { IPFS_VOLUME_SOCKET: '/nowhere/ipfs.sock', IPFS_VOLUME_STATE_DIR: '/dev/null/state' };
  return outputOf(process.execPath, [CLI, ...args], { ...nowhere, ...env });
}

/** Status and body, whatever they are. */
function rawAnswer(socketPath: string, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, method, path, timeout: 30_000 };
    const request = httpRequest(options, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
      resolve(`${response.statusCode} ${Buffer.concat(chunks)}`);
    });
    request.once('error', reject);
    request.end();
  });
}

const credentials = (name: keyof typeof PASSWORDS) => `${name}-user:${encodeURIComponent(PASSWORDS[name])}@`;

/** All that anybody can ask of a daemon, as text. Nearly all of it fails. */
async function askEverything(daemon: TestDaemon): Promise<string> {
  const said: string[] = [];
  const attempt = async (what: Promise<unknown>) => {
    said.push(
      await what.then(
        (answer) => JSON.stringify(answer),
        (error: unknown) => `${error} ${JSON.stringify(error)} ${String((error as Error).stack)}`,
      ),
    );
  };
  const absent = makeBlock('a file that nobody has').cid.toString();
  const references: Record<string, string>[] = [
    { cid: absent },
    { cid: absent.replace('bafk', 'bafy') },
    { path: `/ipns/${IPNS_KEY}` },
    { path: '/ipns/nobody.invalid' },
    {
      cid: makeBlock('another').cid.toString(),
      peers: '/ip4/127.0.0.1/tcp/1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC',
    },
  ];
  for (const [index, options] of references.entries()) {
    const Name = `volume-${index}`;
    await attempt(daemon.call('Create', { Name, Opts: { ...options, timeout: '500ms' } }));
    await attempt(daemon.call('Mount', { Name, ID: 'one' }));
    await attempt(daemon.call('Get', { Name }));
    await attempt(daemon.call('Create', { Name, Opts: { cid: 'other' } }));
    // A file of its own: the volume is a raw block, which mounting alone may not want.
    said.push(await outputOf('cat', [join(daemon.mountRoot, Name)]));
  }
  await using client = daemon.client();
  for (const call of [
    client.status(),
    client.doctor(),
    client.storedRoots(),
    client.profiles(),
    client.collectGarbage(),
  ]) {
    await attempt(call);
  }
  await attempt(client.prefetch('volume-0', { signal: AbortSignal.timeout(20_000) }));
  await attempt(client.profile('nobody'));
  await attempt(client.importProfile('{'));
  await attempt(client.removeRoot(absent));
  for (const path of Object.values(CONTROL_PATHS)) {
    const named = path.replace(/:[a-z]+/, 'volume-0');
    for (const method of ['GET', 'POST', 'DELETE']) said.push(await rawAnswer(daemon.socketPath, method, named));
  }
  for (const command of [['status'], ['status', '--json'], ['doctor'], ['doctor', '--json'], ['store', 'ls']]) {
    said.push(await cli(command, { IPFS_VOLUME_SOCKET: daemon.socketPath }));
  }
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      said.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
    } catch {
      // It has ended.
    }
  }
  for (const file of ['volumes.json']) said.push(readFileSync(join(daemon.stateDirectory, file), 'utf8'));
  return [...said, ...daemon.log].join('\n');
}

function shown(text: string): string[] {
  return SECRETS.filter((secret) => text.includes(secret));
}

describeWith(['root', 'fuse'], 'a daemon full of secrets', () => {
  let parrot: string;

  beforeAll(async () => {
    parrot = await startParrot();
  });

  afterAll(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  it('shows none of those in the addresses of its sources and proxies', async () => {
    asked.length = 0;
    await using daemon = await startDaemon({
      kuboRpc: `http://${credentials('kubo')}${parrot}`,
      gateways: [
        `http://${credentials('gateway')}${parrot}`,
        `http://${parrot}/below?token=${PASSWORDS.query}`,
        `http://${credentials('gateway')}plain.invalid`,
        `https://${credentials('gateway')}tunnelled.invalid`,
      ],
      settings: { LOG_LEVEL: 'debug', READ_TIMEOUT: '500ms' },
      environment: {
        HTTP_PROXY: `http://${credentials('proxy')}${parrot}`,
        HTTPS_PROXY: `http://${credentials('tunnel')}${parrot}`,
      },
    });
    const text = await askEverything(daemon);
    // They were sent, or there would be nothing to show.
    for (const name of ['kubo', 'gateway', 'proxy', 'tunnel'] as const) {
      expect(asked.join('\n')).toContain(Buffer.from(`${name}-user:${PASSWORDS[name]}`).toString('base64'));
    }
    expect(asked.join('\n')).toContain(PASSWORDS.query);
    // What the servers said is told, less the secrets.
    expect(text).toMatch(/GET \/below\/ipfs\/|POST \/api\/v0\/block\/get/);
    expect(shown(text)).toEqual([]);
  });

  it('shows none of those in variables and flags, nor in its command line', async () => {
    asked.length = 0;
    const secrets = [
      '--kubo-rpc-auth',
      `Bearer ${PASSWORDS.kuboHeader}`,
      '--gateways',
      `http://${credentials('gateway')}${parrot}`,
    ];
    await using daemon = await startDaemon({
      kuboRpc: `http://${parrot}`,
      gateways: [`http://${parrot}`],
      settings: { LOG_LEVEL: 'debug', READ_TIMEOUT: '500ms', GATEWAY_AUTH: `Bearer ${PASSWORDS.gatewayHeader}` },
      flags: [...secrets.slice(0, 2), '--gateways', `http://${parrot},http://${credentials('gateway')}${parrot}/other`],
    });
    const text = await askEverything(daemon);
    expect(asked.join('\n')).toContain(PASSWORDS.kuboHeader);
    expect(asked.join('\n')).toContain(PASSWORDS.gatewayHeader);
    expect(text).toMatch(/GET \/ipfs\/|POST \/api\/v0\/block\/get/);
    expect(shown(text)).toEqual([]);
  });

  it.each([
    ['KUBO_RPC', `${credentials('kubo')}host`],
    ['KUBO_RPC', `/ip4/${credentials('kubo')}1.2.3.4/udp/5001`],
    ['KUBO_RPC_AUTH', `${PASSWORDS.kubo}\u00e4`],
    ['GATEWAYS', `https://user:${PASSWORDS.gateway},rest@host`],
    ['GATEWAYS', `ftp://${credentials('gateway')}host?token=${PASSWORDS.query}`],
  ])('shows none where IPFS_VOLUME_%s cannot be read', async (name, value) => {
    for (const command of ['serve', 'doctor']) {
      const text = await cli([command], { [`IPFS_VOLUME_${name}`]: value });
      expect(text).toContain(`IPFS_VOLUME_${name}`);
      expect(shown(text)).toEqual([]);
    }
  });

  it.each(['HTTP_PROXY', 'HTTPS_PROXY'])('names a %s that cannot be read, and shows nothing of it', async (name) => {
    const text = await cli(['doctor'], {
      [name]: `http://${credentials('proxy')}:not a host`,
      IPFS_VOLUME_GATEWAYS: 'http://gateway.invalid',
    });
    expect(text).toContain(name);
    expect(shown(text)).toEqual([]);
  });
});
