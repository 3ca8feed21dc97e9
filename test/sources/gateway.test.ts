/** Trustless gateways: a well-behaved server of ours, one that misbehaves in every way, and Kubo's own. */
import { createHash, randomBytes } from 'node:crypto';
import { CarWriter } from '@ipld/car';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Block } from '../../src/blocks/block.ts';
import type { RangeSource } from '../../src/blocks/block-source.ts';
import { verifyBlock } from '../../src/blocks/verify.ts';
import { gatewaySource } from '../../src/sources/gateway.ts';
import { DEFAULT_GATEWAYS } from '../../src/sources/gateway-defaults.ts';
import { BlockMap } from '../support/block-map.ts';
import {
  type Behaviour,
  blocksOf,
  endless,
  type GatewayServer,
  raw,
  silent,
  startGatewayServer,
  status,
} from '../support/gateway-server.ts';
import { type KuboNode, startKubo } from '../support/kubo.ts';
import { describeWith } from '../support/machine.ts';
import {
  abortContract,
  expectFault,
  FAULTS,
  type Fault,
  misbehavingServer,
  pingContract,
} from './misbehaving-server.ts';
import { demand, failureCode, rawBlock, type SourceUnderTest, sourceContract } from './source-contract.ts';

const block = rawBlock(randomBytes(3000));
const CAR_HEADERS = { 'content-type': 'application/vnd.ipld.car; version=1; order=dfs; dups=n' };

/** The header of a CAR without roots, then a CID with a length before it that nothing will ever fill. */
const hugeBlock: Behaviour = (request, response) => {
  const lengthOf2To40 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
  const header = Buffer.from('11a265726f6f7473806776657273696f6e01', 'hex');
  status(
    200,
    CAR_HEADERS,
    Buffer.concat([header, Buffer.from(lengthOf2To40), block.cid.bytes, block.bytes]),
  )(request, response);
};

/** A well-formed CAR of one block, again and again. */
const endlessBlocks: Behaviour = async (_request, response) => {
  const big = rawBlock(randomBytes(1024 * 1024));
  const empty = await carOf([]);
  const section = (await carOf([big])).subarray((await carOf([], big)).length);
  response.writeHead(200, CAR_HEADERS).write(empty);
  const send = () => {
    while (!response.destroyed && response.write(section));
  };
  response.on('drain', send);
  send();
};

describe('a well-behaved gateway', () => {
  const blocks = new BlockMap();
  let server: GatewayServer;
  let subject: SourceUnderTest;
  beforeAll(async () => {
    server = await startGatewayServer(blocksOf(blocks));
    const open = () => gatewaySource({ url: server.url });
    subject = { source: open(), open, put: async ({ cid, bytes }) => void blocks.put(cid, bytes) };
  });
  afterAll(async () => {
    await subject.source.close();
    await server.close();
  });
  sourceContract(() => subject);
});

describe('a gateway that misbehaves', () => {
  const subject = misbehavingServer((url, timeouts) => gatewaySource({ url, timeouts }));

  const faults: Fault[] = [
    ...FAULTS,
    ['404', status(404), 'BLOCK_UNAVAILABLE', /has no block \w+ \(404\): status 404/],
    ['410', status(410), 'BLOCK_UNAVAILABLE', /410/],
    ['451', status(451), 'BLOCK_UNAVAILABLE', /451/],
    ['500', status(500), 'SOURCE_FAILED', /answers 500: status 500/],
    ['502 as HTML', status(502, { 'content-type': 'text/html' }, '<html>'), 'SOURCE_FAILED', /answers 502$/],
    ['403', status(403), 'SOURCE_FAILED', /refuses the authorization \(403\)/],
    ['429', status(429), 'SOURCE_FAILED', /limits how often/],
    ['HTML as 200', status(200, { 'content-type': 'text/html' }, '<html>'), 'SOURCE_FAILED', /200 with text\/html/],
    ['JSON as 200', status(200, { 'content-type': 'application/json' }, '{}'), 'SOURCE_FAILED', /application\/json/],
    ['an empty body', raw(new Uint8Array()), 'SOURCE_FAILED', /empty body/],
    ['a body announced too large', raw(Buffer.alloc(2097153)), 'BLOCK_TOO_LARGE', /more than 2097152 bytes/],
    [
      'a redirect to another host',
      status(302, { location: 'http://other.example/x?secret' }),
      'SOURCE_FAILED',
      /redirects to http:\/\/other.example\/x, which is not followed/,
    ],
    [
      'a redirect to itself',
      (request, response) => status(301, { location: request.url ?? '/' })(request, response),
      'SOURCE_FAILED',
      /for ever/,
    ],
    ['a redirect to nowhere', status(301), 'SOURCE_FAILED', /redirects to nowhere/],
  ];
  test.each(faults)('%s', (...fault) => expectFault(subject, block, fault));
  pingContract(subject);

  test('the empty block has as many names as there are hash functions, and comes through by each', async () => {
    subject.server.behave(raw(new Uint8Array()));
    const cid = CID.createV1(0x55, Digest.create(0x13, createHash('sha512').digest()));
    expect(await subject.source.getBlock(cid, demand())).toHaveLength(0);
  });

  test('refusing the connection', async () => {
    await subject.server.close();
    await expect(subject.source.getBlock(block.cid, demand())).rejects.toThrow(/refused the connection/);
    subject.server = await startGatewayServer();
  });

  test('wrong bytes are delivered as they came: verifying is for the want queue', async () => {
    subject.server.behave(raw(Buffer.from('something else')));
    expect(Buffer.from(await subject.source.getBlock(block.cid, demand())).toString()).toBe('something else');
  });

  abortContract(
    () => subject.server,
    (url) => gatewaySource({ url }),
    block,
  );

  test('close ends what is in flight', async () => {
    const patient = gatewaySource({ url: subject.server.url });
    subject.server.behave(silent);
    const answer = failureCode(patient.getBlock(block.cid, demand()));
    const seen = await subject.server.request(0);
    await patient.close();
    expect(await answer).toBe('SOURCE_FAILED');
    expect(await seen.hungUp).toBe(true);
  });

  test.each([
    ['429', status(429, { 'retry-after': '30' })],
    ['503', status(503, { 'retry-after': new Date(Date.now() + 30_500).toUTCString() })],
  ])('the Retry-After of a %s is kept: no request until then', async (_name, behaviour) => {
    let nowMs = 0;
    const polite = gatewaySource({ url: subject.server.url, clock: { nowMs: () => nowMs } });
    subject.server.behave(behaviour);
    expect(await failureCode(polite.getBlock(block.cid, demand()))).toBe('SOURCE_FAILED');
    subject.server.behave(raw(block.bytes));
    nowMs = 20_000;
    await expect(polite.getBlock(block.cid, demand())).rejects.toThrow(/not to be asked for another \d+ s/);
    expect(subject.server.requests).toHaveLength(1);
    nowMs = 31_000;
    expect(await polite.getBlock(block.cid, demand())).toHaveLength(3000);
    await polite.close();
  });

  test('a Retry-After of a day is kept for a minute', async () => {
    let nowMs = 0;
    const polite = gatewaySource({ url: subject.server.url, clock: { nowMs: () => nowMs } });
    subject.server.behave(status(429, { 'retry-after': '86400' }));
    expect(await failureCode(polite.getBlock(block.cid, demand()))).toBe('SOURCE_FAILED');
    subject.server.behave(raw(block.bytes));
    nowMs = 60_001;
    expect(await polite.getBlock(block.cid, demand())).toHaveLength(3000);
    await polite.close();
  });

  test('close gives all sockets back', async () => {
    subject.server.behave(raw(block.bytes));
    await Promise.all(Array.from({ length: 8 }, () => subject.source.getBlock(block.cid, demand())));
    expect(await subject.server.connections()).toBe(8);
    await subject.source.close();
    await subject.server.disconnected();
    expect(await subject.server.connections()).toBe(0);
  });

  test('sockets are reused, also after a 404', async () => {
    for (let count = 0; count < 20; count++) await failureCode(subject.source.getBlock(block.cid, demand()));
    // A second one where a request comes in the instant before the first socket is free again.
    expect(await subject.server.connections()).toBeLessThanOrEqual(2);
  });

  describe('CARs', () => {
    const inCar = [rawBlock(randomBytes(1000)), rawBlock(randomBytes(2000)), rawBlock(randomBytes(10))];
    const collect = async () => {
      const received: Block[] = [];
      for await (const each of subject.source.getRange(block.cid, { from: 5, to: 20 }, demand())) received.push(each);
      return received;
    };

    test('all blocks in order, from one request for the range', async () => {
      subject.server.behave(status(200, CAR_HEADERS, await carOf(inCar)));
      expect((await collect()).map(({ cid }) => cid.toString())).toEqual(inCar.map(({ cid }) => cid.toString()));
      expect(subject.server.requests).toHaveLength(1);
      const { url, headers } = await subject.server.request(0);
      expect(`${url.pathname}${url.search}`).toBe(`/ipfs/${block.cid}?format=car&dag-scope=entity&entity-bytes=5:20`);
      expect(headers.accept).toBe('application/vnd.ipld.car;version=1;order=dfs;dups=n');
    });

    test('one that ends in the middle of a block gives the blocks before it, then fails', async () => {
      const bytes = await carOf(inCar);
      subject.server.behave(status(200, CAR_HEADERS, bytes.subarray(0, bytes.length - 500)));
      const received: Block[] = [];
      const reading = (async () => {
        for await (const each of subject.source.getRange(block.cid, { from: 0, to: 20 }, demand())) received.push(each);
      })();
      await expect(reading).rejects.toThrow(/sends a bad CAR: the CAR is truncated/);
      expect(received).toHaveLength(1);
    });

    test.each([
      ['HTML', status(200, { 'content-type': 'text/html' }, '<html>'), 'SOURCE_FAILED'],
      ['something else under its type', status(200, CAR_HEADERS, 'no CAR at all'), 'SOURCE_FAILED'],
      ['nothing', status(200, CAR_HEADERS, ''), 'SOURCE_FAILED'],
      ['an endless one', endless(CAR_HEADERS), 'SOURCE_FAILED'],
      ['one that announces a block of 2^40 bytes', hugeBlock, 'BLOCK_TOO_LARGE'],
      ['one of blocks without end', endlessBlocks, 'SOURCE_FAILED'],
      ['404', status(404), 'BLOCK_UNAVAILABLE'],
      ['no answer', silent, 'SOURCE_FAILED'],
    ] as [string, Behaviour, string][])('%s fails with a code', async (_name, behaviour, code) => {
      subject.server.behave(behaviour);
      expect(await failureCode(collect())).toBe(code);
    });

    test('a gateway that refuses the format is not asked for CARs again for ten minutes, only for blocks', async () => {
      let nowMs = 1000;
      const plain = gatewaySource({ url: subject.server.url, clock: { nowMs: () => nowMs } });
      const range = async () => {
        const received: Block[] = [];
        for await (const each of plain.getRange(block.cid, { from: 0, to: 20 }, demand())) received.push(each);
        return received;
      };
      subject.server.behave(status(406));
      await expect(range()).rejects.toMatchObject({ code: 'BLOCK_UNAVAILABLE', message: expect.stringMatching(/406/) });
      expect(await range()).toEqual([]);
      expect(subject.server.requests).toHaveLength(1);
      subject.server.behave(raw(block.bytes));
      expect(await plain.getBlock(block.cid, demand())).toEqual(block.bytes);
      nowMs += 600_000;
      subject.server.behave(status(200, CAR_HEADERS, await carOf(inCar)));
      expect(await range()).toHaveLength(3);
      await plain.close();
    });

    test('who leaves early ends the request on the wire', async () => {
      const patient = gatewaySource({ url: subject.server.url });
      const bytes = await carOf(inCar);
      subject.server.behave((_request, response) => void response.writeHead(200, CAR_HEADERS).write(bytes));
      for await (const each of patient.getRange(block.cid, { from: 0, to: 20 }, demand())) {
        expect(each.cid.equals(inCar[0]?.cid)).toBe(true);
        break;
      }
      expect(await (await subject.server.request(0)).hungUp).toBe(true);
      await patient.close();
    });
  });
});

describe('proxies of the environment', () => {
  let proxy: GatewayServer;
  beforeEach(async () => {
    // A proxy is asked for whole URLs; this one answers by itself.
    proxy = await startGatewayServer(raw(block.bytes));
    vi.stubEnv('HTTP_PROXY', proxy.url.replace('//', '//me:hush@'));
    vi.stubEnv('HTTPS_PROXY', proxy.url);
    vi.stubEnv('NO_PROXY', 'direct.invalid');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await proxy.close();
  });
  const get = async (url: string) => {
    const source = gatewaySource({ url });
    try {
      return (await source.getBlock(block.cid, demand())).length;
    } finally {
      await source.close();
    }
  };

  test('HTTP_PROXY is asked, with its own credentials', async () => {
    expect(await get('http://gateway.invalid')).toBe(3000);
    const { url, headers } = await proxy.request(0);
    expect(url.href).toContain('http://gateway.invalid/ipfs/');
    expect(headers['proxy-authorization']).toBe(`Basic ${Buffer.from('me:hush').toString('base64')}`);
  });

  test('HTTPS_PROXY is asked for a tunnel, and one that refuses it is told', async () => {
    await expect(get('https://gateway.invalid')).rejects.toThrow(/not reached through the proxy \(405\)/);
  });

  test('NO_PROXY and this machine are not', async () => {
    await expect(get('http://direct.invalid')).rejects.toThrow(/does not resolve/);
    const here = await startGatewayServer(raw(block.bytes));
    expect(await get(here.url)).toBe(3000);
    await here.close();
    expect(proxy.requests).toHaveLength(0);
  });
});

describe('what a gateway is sent and shown as', () => {
  let server: GatewayServer;
  beforeEach(async () => {
    server = await startGatewayServer(raw(block.bytes));
  });
  afterEach(() => server.close());

  test('credentials of a URL go into the Authorization header and nowhere else', async () => {
    const source = gatewaySource({
      url: `http://user:p%40ss@127.0.0.1:${server.port}/ipfs/?token=hush`,
      authorization: 'Bearer x',
    });
    await source.getBlock(block.cid, demand());
    const { url, headers } = await server.request(0);
    expect(headers.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
    expect(`${url.pathname}${url.search}`).toBe(`/ipfs/${block.cid}?token=hush&format=raw`);
    expect(source.name).toBe(`gateway ${server.url}`);
    // A server that repeats what it was sent does not bring it into our logs either.
    server.behave((request, response) =>
      status(
        500,
        {},
        `denied: ${request.headers.authorization} (user:p@ss, p@ss) at ${request.url}`,
      )(request, response),
    );
    const error = await source.getBlock(block.cid, demand()).catch((thrown) => thrown);
    expect(error.message).toContain('denied: Basic … (…, …) at /ipfs/');
    expect(error.message).toContain('token=…&');
    await source.close();
  });

  test('the authorization of the list is sent where the URL has none', async () => {
    const source = gatewaySource({ url: server.url, authorization: 'Bearer abc' });
    await source.getBlock(block.cid, demand());
    expect((await server.request(0)).headers.authorization).toBe('Bearer abc');
    await source.close();
  });

  test('a gateway on localhost is asked under the name that redirects nothing', async () => {
    const source = gatewaySource({ url: `http://localhost:${server.port}` });
    await source.getBlock(block.cid, demand());
    expect((await server.request(0)).headers.host).toBe(`127.0.0.1:${server.port}`);
    await source.close();
  });

  test('a redirect to the CID on its own subdomain is followed, with the authorization', async () => {
    const home = `gateway.localhost:${server.port}`;
    server.behave((request, response) => {
      const location = `http://${block.cid}.ipfs.${home}/?format=raw`;
      (request.headers.host === home ? status(301, { location }) : raw(block.bytes))(request, response);
    });
    const source = gatewaySource({ url: `http://${home}`, authorization: 'Bearer abc' });
    expect(await source.getBlock(block.cid, demand())).toHaveLength(3000);
    const { headers } = await server.request(1);
    expect(headers).toMatchObject({ host: `${block.cid}.ipfs.${home}`, authorization: 'Bearer abc' });
    await source.close();
  });

  test.each(['', 'nonsense', 'ftp://host', 'https://user:secret@'])('"%s" is refused, without its secrets', (url) => {
    expect(() => gatewaySource({ url })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => gatewaySource({ url })).not.toThrow(/secret/);
  });

  test('the defaults can be read', () => {
    expect(DEFAULT_GATEWAYS.map((url) => gatewaySource({ url }).name)).toEqual(
      DEFAULT_GATEWAYS.map((url) => `gateway ${url}`),
    );
  });
});

describeWith(['kubo'], "Kubo's own gateway", () => {
  let node: KuboNode;
  let source: RangeSource;
  const open = () => gatewaySource({ url: node.gatewayUrl });
  beforeAll(async () => {
    node = await startKubo({ config: { 'Gateway.NoFetch': true } });
    source = open();
  });
  afterAll(async () => {
    await source?.close();
    await node?.stop();
  });

  const put = async ({ cid, bytes }: Block) => expect(await node.putRawBlock(bytes)).toBe(cid.toString());
  sourceContract(() => ({ source, open, put }));

  test('the same block under CIDv0, CIDv1 and raw', async () => {
    const v0 = CID.parse(await node.line(['add', '-Q', '--cid-version=0'], 'under several names'));
    const names = [v0, v0.toV1(), CID.createV1(0x55, v0.multihash)];
    const all = await Promise.all(names.map((cid) => source.getBlock(cid, demand())));
    expect(new Set(all.map((bytes) => Buffer.from(bytes).toString('hex'))).size).toBe(1);
  });

  test('the CAR of a range holds the way to it and its blocks, and no others', async () => {
    const content = randomBytes(300_000);
    const root = CID.parse(await node.line(['add', '-Q', '--cid-version=1', '--chunker=size-10000'], content));
    const leaf = (index: number) => rawBlock(content.subarray(index * 10_000, (index + 1) * 10_000)).cid.toString();
    const received: Block[] = [];
    for await (const each of source.getRange(root, { from: 25_000, to: 44_999 }, demand())) received.push(each);
    for (const { cid, bytes } of received) verifyBlock(cid, bytes);
    expect(received.map(({ cid }) => cid.toString())).toEqual([root.toString(), leaf(2), leaf(3), leaf(4)]);
  });

  test('the CAR of a tree holds all of it, directories before what stands in them', async () => {
    const content = [randomBytes(100), randomBytes(200)].map((bytes) => bytes.toString('hex'));
    await node.run(['files', 'mkdir', '-p', '--cid-version=1', '/tree/below']);
    const write = ['files', 'write', '--create', '--raw-leaves', '--cid-version=1'];
    await node.run([...write, '/tree/a'], content[0]);
    await node.run([...write, '/tree/below/b'], content[1]);
    const cidAt = async (path: string) => node.line(['files', 'stat', '--hash', path]);
    const received: Block[] = [];
    const root = CID.parse(await cidAt('/tree'));
    for await (const each of source.getRange(root, { treeBytes: 2000 }, demand())) received.push(each);
    for (const { cid, bytes } of received) verifyBlock(cid, bytes);
    const expected = [
      await cidAt('/tree'),
      await cidAt('/tree/a'),
      await cidAt('/tree/below'),
      await cidAt('/tree/below/b'),
    ];
    expect(received.map(({ cid }) => cid.toString())).toEqual(expected);
  });

  test('the CAR of what a directory calls so has the way there; where it has no such thing, what shows that', async () => {
    const content = randomBytes(100).toString('hex');
    await node.run(['files', 'mkdir', '-p', '--cid-version=1', '/named']);
    for (const name of ['a b?%', 'other'])
      await node.run(
        ['files', 'write', '--create', '--raw-leaves', '--cid-version=1', `/named/${name}`],
        `${content}${name}`,
      );
    const cidAt = async (path: string) => node.line(['files', 'stat', '--hash', path]);
    const root = CID.parse(await cidAt('/named'));
    const receivedOf = async (entry: string) => {
      const cids: string[] = [];
      for await (const { cid, bytes } of source.getRange(root, { treeBytes: 2000, entry }, demand())) {
        verifyBlock(cid, bytes);
        cids.push(cid.toString());
      }
      return cids;
    };
    expect(await receivedOf('a b?%')).toEqual([root.toString(), await cidAt('/named/a b?%')]);
    expect(await receivedOf('absent')).toEqual([root.toString()]);
  });

  test('a gateway addressed as localhost answers', async () => {
    const here = gatewaySource({ url: node.gatewayUrl.replace('127.0.0.1', 'localhost') });
    const v1 = await node.line(['add', '-Q', '--cid-version=1'], 'at home');
    expect(Buffer.from(await here.getBlock(CID.parse(v1), demand())).toString()).toBe('at home');
    const directory = CID.parse(await node.line(['add', '-Qw', '--cid-version=1', '--stdin-name=a b'], 'at home'));
    const received: string[] = [];
    for await (const { cid } of here.getRange(directory, { treeBytes: 100, entry: 'a b' }, demand()))
      received.push(cid.toString());
    expect(received).toEqual([directory.toString(), v1]);
    await here.close();
  });
});

async function carOf(blocks: readonly Block[], root = blocks[0]): Promise<Uint8Array> {
  const { writer, out } = CarWriter.create(root ? [root.cid] : []);
  const written = (async () => {
    for (const each of blocks) await writer.put(each);
    await writer.close();
  })();
  const chunks: Uint8Array[] = [];
  for await (const chunk of out) chunks.push(chunk);
  await written;
  return Buffer.concat(chunks);
}
