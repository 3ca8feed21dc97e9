/** Blocks over a Kubo node's RPC: real nodes, and servers that are none. */
import { randomBytes } from 'node:crypto';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Block } from '../../src/blocks/block.ts';
import type { BlockSource } from '../../src/blocks/block-source.ts';
import { verifyBlock } from '../../src/blocks/verify.ts';
import { kuboSource } from '../../src/sources/kubo.ts';
import { endless, status } from '../support/gateway-server.ts';
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
import { demand, failureCode, rawBlock, sourceContract } from './source-contract.ts';

const block = rawBlock(randomBytes(3000));

describeWith(['kubo'], 'a Kubo node that is offline', () => {
  let node: KuboNode;
  let source: BlockSource;
  const open = () => kuboSource({ rpc: node.rpcUrl });
  beforeAll(async () => {
    node = await startKubo({ offline: true });
    source = open();
  });
  afterAll(async () => {
    await source?.close();
    await node?.stop();
  });

  const put = async ({ cid, bytes }: Block) => expect(await node.putRawBlock(bytes)).toBe(cid.toString());
  sourceContract(() => ({ source, open, put }));

  test('its multiaddr, as it stands in its api file, does as well', async () => {
    await put(block);
    const byMultiaddr = kuboSource({ rpc: `/ip4/127.0.0.1/tcp/${new URL(node.rpcUrl).port}` });
    expect(byMultiaddr.name).toBe(`kubo ${node.rpcUrl}`);
    expect(await byMultiaddr.getBlock(block.cid, demand())).toHaveLength(3000);
    await byMultiaddr.close();
  });

  const layouts = [
    ['--cid-version=0'],
    ['--cid-version=1', '--raw-leaves=false'],
    ['--cid-version=1', '--chunker=size-1000'],
    ['--cid-version=1', '--chunker=rabin-1000-2000-4000', '--trickle'],
    ['--cid-version=1', '--chunker=buzhash', '--hash=blake2b-256'],
    ['--cid-version=1', '--hash=sha3-512', '--max-file-links=3', '--chunker=size-5000'],
    ['--cid-version=1', '--inline', '--inline-limit=100', '--chunker=size-64'],
  ];
  test.each(layouts.map((args) => [args.join(' '), args] as const))(
    'every block of a file added with %s',
    async (_n, args) => {
      const root = await node.line(['add', '-Q', ...args], randomBytes(40_000));
      const below = (await node.line(['refs', '-r', '-u', root])).split('\n').filter((line) => line !== '');
      for (const text of [root, ...below]) {
        const cid = CID.parse(text);
        if (cid.multihash.code === 0) continue;
        const bytes = await source.getBlock(cid, demand());
        verifyBlock(cid, bytes);
        expect(Buffer.compare(bytes, await node.run(['block', 'get', text]))).toBe(0);
      }
    },
  );

  test('a CID that Kubo refuses is SOURCE_FAILED with its words', async () => {
    // An identity hash of more than 128 bytes.
    const inline = CID.createV1(0x55, Digest.create(0x00, randomBytes(200)));
    await expect(source.getBlock(inline, demand())).rejects.toThrow(/answers 500: .*identity/);
  });
});

describeWith(['kubo'], 'a Kubo node with a peer', () => {
  let origin: KuboNode;
  let reader: KuboNode;
  let source: BlockSource;
  beforeAll(async () => {
    [origin, reader] = await Promise.all([startKubo(), startKubo()]);
    await reader.connect(origin);
    source = kuboSource({ rpc: reader.rpcUrl });
  });
  afterAll(async () => {
    await source?.close();
    await Promise.all([origin?.stop(), reader?.stop()]);
  });

  test("the peer's blocks come through it", async () => {
    const { cid, bytes } = rawBlock(randomBytes(100_000));
    await origin.putRawBlock(bytes);
    expect(Buffer.compare(await source.getBlock(cid, demand()), bytes)).toBe(0);
  });

  test('a block that nobody has is looked for until the caller hangs up', async () => {
    const controller = new AbortController();
    const answer = failureCode(source.getBlock(rawBlock(randomBytes(32)).cid, demand(controller.signal)));
    // Kubo knows of the want by now, or would have answered.
    while ((await reader.line(['bitswap', 'stat'])).includes('wantlist [0 keys]')) await new Promise(setImmediate);
    controller.abort();
    expect(await answer).toBe('ABORTED');
  });

  test('a paused node is bounded by the time-out, and answers again once it runs', async () => {
    const { cid, bytes } = rawBlock(randomBytes(1000));
    await reader.putRawBlock(bytes);
    const hasty = kuboSource({ rpc: reader.rpcUrl, timeouts: { answerMs: 300 } });
    await reader.pause();
    await expect(hasty.getBlock(cid, demand())).rejects.toThrow(/said nothing for 0.3 s/);
    reader.resume();
    expect(await hasty.getBlock(cid, demand())).toHaveLength(1000);
    await hasty.close();
  });
});

describeWith(['kubo'], 'a Kubo RPC with authorization', () => {
  let node: KuboNode;
  beforeAll(async () => {
    const rules = { me: { AuthSecret: 'bearer:hush-hush', AllowedPaths: ['/api/v0'] } };
    node = await startKubo({ config: { 'API.Authorizations': rules } });
  });
  afterAll(() => node?.stop());

  test('with the right one blocks come, with none or a wrong one it says so and shows no secret', async () => {
    const root = CID.parse(await node.line(['add', '-Q', '--api-auth=bearer:hush-hush'], 'for members'));
    const member = kuboSource({ rpc: node.rpcUrl, authorization: 'Bearer hush-hush' });
    verifyBlock(root, await member.getBlock(root, demand()));
    expect(member.name).not.toContain('hush');
    const stranger = kuboSource({ rpc: node.rpcUrl });
    await expect(stranger.getBlock(root, demand())).rejects.toThrow(/refuses the authorization \(403\)/);
    const liar = kuboSource({ rpc: node.rpcUrl, authorization: 'Bearer wrong-secret' });
    const error = await liar.getBlock(root, demand()).catch((thrown) => thrown);
    expect(error.code).toBe('SOURCE_FAILED');
    expect(error.message).not.toContain('wrong-secret');
    for (const source of [member, stranger, liar]) await source.close();
  });
});

describe('an RPC address that misbehaves, or is no Kubo', () => {
  const subject = misbehavingServer((rpc, timeouts) => kuboSource({ rpc, timeouts }));

  const json = (code: number, value: unknown) =>
    status(code, { 'content-type': 'application/json' }, JSON.stringify(value));
  const faults: Fault[] = [
    ...FAULTS,
    [
      'not found',
      json(500, { Message: 'routing: not found', Code: 0, Type: 'error' }),
      'BLOCK_UNAVAILABLE',
      /has no block/,
    ],
    [
      'an error of Kubo',
      json(500, { Message: 'out of luck', Code: 0, Type: 'error' }),
      'SOURCE_FAILED',
      /answers 500: out of luck/,
    ],
    ['HTML', status(200, { 'content-type': 'text/html' }, '<html>'), 'SOURCE_FAILED', /not a Kubo RPC: .*text\/html/],
    ['JSON of something else', json(200, { hello: 1 }), 'SOURCE_FAILED', /not a Kubo RPC: .*application\/json/],
    ['404, as a gateway answers', status(404), 'SOURCE_FAILED', /not a Kubo RPC: it answers 404/],
    [
      'an error in unreadable JSON',
      status(500, { 'content-type': 'application/json' }, '{'),
      'SOURCE_FAILED',
      /not a Kubo RPC/,
    ],
    ['401', status(401), 'SOURCE_FAILED', /refuses the authorization \(401\)/],
    ['a redirect, even to itself', status(307, { location: '/' }), 'SOURCE_FAILED', /not followed/],
    ['an endless error', endless({ server: 'kubo/0.43.1' }, 500), 'SOURCE_FAILED', /answers 500/],
  ];
  pingContract(subject);
  test.each(faults)('%s', async (...fault) => {
    await expectFault(subject, block, fault);
    expect((await subject.server.request(0)).method).toBe('POST');
  });

  abortContract(
    () => subject.server,
    (rpc) => kuboSource({ rpc }),
    block,
  );
});

describe('RPC addresses', () => {
  test.each([
    ['http://127.0.0.1:5001', 'http://127.0.0.1:5001'],
    ['http://127.0.0.1:5001/api/v0/', 'http://127.0.0.1:5001'],
    ['https://user:secret@kubo.example/node1', 'https://kubo.example/node1'],
    ['/ip4/127.0.0.1/tcp/5001', 'http://127.0.0.1:5001'],
    ['/ip6/::1/tcp/5001/http', 'http://[::1]:5001'],
    ['/dns4/kubo.example/tcp/443/https', 'https://kubo.example'],
    ['/dns/kubo.example/tcp/8443/tls/http', 'https://kubo.example:8443'],
  ])('%s', (rpc, shown) => {
    expect(kuboSource({ rpc }).name).toBe(`kubo ${shown}`);
  });

  test.each(['5001', '/unix/run/kubo.sock', '/ip4/127.0.0.1/udp/5001', 'ftp://host'])('%s is refused', (rpc) => {
    expect(() => kuboSource({ rpc })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  test('an authorization that no header may hold is refused, unseen', () => {
    const make = () => kuboSource({ rpc: 'http://host', authorization: 'Bearer a\r\nb' });
    expect(make).toThrow(/characters that no header may hold/);
    expect(make).not.toThrow(/Bearer/);
  });
});
