/** IPNS and DNSLink names: records that a real Kubo signed, gateways that lie about them, and a DNS of our own. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { CID } from 'multiformats/cid';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { kuboControl } from '../../src/sources/kubo-control.ts';
import { type ResolveTxt, resolveDnsLink, txtResolver } from '../../src/sources/name-dnslink.ts';
import { formatNameKey, parseNameKey } from '../../src/sources/name-key.ts';
import { type NameResolverOptions, nameResolver } from '../../src/sources/name-resolver.ts';
import {
  type Behaviour,
  endless,
  type GatewayServer,
  silent,
  startGatewayServer,
  status,
} from '../support/gateway-server.ts';
import { type KuboNode, startKubo } from '../support/kubo.ts';
import { describeWith } from '../support/machine.ts';
import { txtAnswer } from '../support/txt-answer.ts';
import { failureCode } from './source-contract.ts';

const ROOT = 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am';
const KEY = 'k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r';

function bounded(signal: AbortSignal = AbortSignal.timeout(20_000)) {
  return { signal };
}

/** A DNS of these TXT records. */
function zone(records: Readonly<Record<string, string[]>>): ResolveTxt {
  return async (hostname) => {
    const texts = records[hostname];
    if (texts === undefined) throw Object.assign(new Error('query failed'), { code: 'ENOTFOUND' });
    return texts.map((text) => [text]);
  };
}

/** What `name` resolves to, as a path, with a resolver of these options that is closed again. */
async function resolved(name: string, options: Partial<NameResolverOptions>): Promise<string> {
  const resolver = nameResolver({ gateways: [], txt: zone({}), ...options });
  try {
    const { cid, path } = await resolver.resolve(name, bounded());
    return `${cid}${path === '' ? '' : `/${path}`}`;
  } finally {
    await resolver.close();
  }
}

describe('keys', () => {
  test('one key in all its forms is one name', () => {
    const base58 = '12D3KooWN4LsKCxYboxiXZBHYuwpxmzd5DYRzvB6agqqdmMwXaou';
    const key = parseNameKey(base58);
    if (key === undefined) throw new Error('not read');
    const name = formatNameKey(key);
    expect(name).toMatch(/^k51/);
    const cid = CID.createV1(0x72, key);
    for (const form of [name, cid.toString(), base58]) {
      const again = parseNameKey(form);
      expect(again && formatNameKey(again)).toBe(name);
    }
  });

  test.each([
    'example.com',
    'k51',
    '',
    'Qm',
    '1',
    'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am',
    'köln.example',
  ])('"%s" is none', (name) => {
    expect(parseNameKey(name)).toBeUndefined();
  });
});

describe('DNSLink', () => {
  test('a record, with and without a path', async () => {
    const txt = zone({
      '_dnslink.a.example': ['v=spf1', `dnslink=/ipfs/${ROOT}`],
      '_dnslink.b.example': [`dnslink=/ipfs/${ROOT}/sub/dir/`],
    });
    expect(await resolved('a.example', { txt })).toBe(ROOT);
    expect(await resolved('b.example', { txt })).toBe(`${ROOT}/sub/dir`);
  });

  test('several lead to the first in order, whatever order they came in', async () => {
    const txt = zone({ '_dnslink.a.example': ['dnslink=/ipns/z.example', `dnslink=/ipfs/${ROOT}`] });
    expect(await resolved('a.example', { txt })).toBe(ROOT);
  });

  test('names lead to names, and their paths add up', async () => {
    const txt = zone({
      '_dnslink.a.example': ['dnslink=/ipns/b.example/outer'],
      '_dnslink.b.example': [`dnslink=/ipfs/${ROOT}/inner`],
    });
    expect(await resolved('a.example', { txt })).toBe(`${ROOT}/inner/outer`);
  });

  test.each([
    ['in a circle', ['dnslink=/ipns/a.example'], /more than 32 names/],
    ['to something else', ['dnslink=/etc/passwd'], /none begins with dnslink/],
    ['to no CID', ['dnslink=/ipfs/nonsense'], /holds no CID/],
    ['to neither key nor domain', ['dnslink=/ipns/localhost'], /neither an IPNS key nor a domain/],
    ['nowhere', [], /none begins with/],
  ])('a record that leads %s is NAME_UNRESOLVED', async (_name, texts, message) => {
    const answer = resolved('a.example', { txt: zone({ '_dnslink.a.example': texts }) });
    await expect(answer).rejects.toMatchObject({ code: 'NAME_UNRESOLVED', message: expect.stringMatching(message) });
  });

  test('no record, and a DNS that fails, are told apart', async () => {
    await expect(resolved('a.example', {})).rejects.toThrow('TXT _dnslink.a.example: there is no such record');
    const txt: ResolveTxt = async () => Promise.reject(Object.assign(new Error('x'), { code: 'ESERVFAIL' }));
    await expect(resolved('a.example', { txt })).rejects.toThrow('the DNS failed (ESERVFAIL)');
  });

  describe('over the wire', () => {
    let server: Socket;
    let txt: ResolveTxt;
    beforeEach(async () => {
      server = createSocket('udp4');
      server.bind(0, '127.0.0.1');
      await once(server, 'listening');
      txt = txtResolver([`127.0.0.1:${server.address().port}`]);
    });
    afterEach(() => new Promise<void>((done) => server.close(() => done())));

    test('the answer of a name server', async () => {
      server.on('message', (query, from) =>
        server.send(txtAnswer(query, [`dnslink=/ipfs/`, ROOT]), from.port, from.address),
      );
      expect(await resolveDnsLink('a.example.', { ...bounded(), txt })).toBe(`/ipfs/${ROOT}`);
    });

    test('an abort ends the question to one that says nothing', async () => {
      const controller = new AbortController();
      const answer = resolveDnsLink('a.example', { signal: controller.signal, txt });
      const code = failureCode(answer);
      await once(server, 'message');
      controller.abort();
      expect(await code).toBe('ABORTED');
    });
  });
});

describeWith(['kubo'], 'names that a real Kubo published', () => {
  let node: KuboNode;
  /** Names of two ed25519 keys and of an RSA key, whose record must carry the public key. */
  const names: Record<string, string> = {};
  beforeAll(async () => {
    node = await startKubo({ offline: true });
    for (const [key, type] of [
      ['one', 'ed25519'],
      ['two', 'ed25519'],
      ['large', 'rsa'],
      ['brief', 'ed25519'],
    ] as const) {
      names[key] = await node.line(['key', 'gen', key, '--type', type]);
    }
    await publish('one', `/ipfs/${ROOT}`);
    await publish('two', `/ipns/${names.one}/below`);
    await publish('large', `/ipfs/${ROOT}/sub`);
  });
  afterAll(() => node?.stop());

  const publish = (key: string, path: string, ...more: string[]) =>
    node.run(['name', 'publish', '--allow-offline', `--key=${key}`, '--resolve=false', ...more, path]);
  const record = async (name: string) => {
    const response = await fetch(`${node.gatewayUrl}/ipns/${name}?format=ipns-record`);
    return new Uint8Array(await response.arrayBuffer());
  };
  const expected: [string, string][] = [
    ['one', ROOT],
    ['two', `${ROOT}/below`],
    ['large', `${ROOT}/sub`],
  ];

  test.each(expected)('key %s through its RPC', async (key, path) => {
    const kubo = kuboControl({ rpc: node.rpcUrl });
    expect(await resolved(names[key] ?? '', { kubo })).toBe(path);
    await kubo.close();
  });

  test.each(expected)('key %s through the record its gateway serves', async (key, path) => {
    expect(await resolved(names[key] ?? '', { gateways: [{ url: node.gatewayUrl }] })).toBe(path);
  });

  test('a domain that leads to a key', async () => {
    const txt = zone({ '_dnslink.a.example': [`dnslink=/ipns/${names.one}/x`] });
    expect(await resolved('a.example', { txt, gateways: [{ url: node.gatewayUrl }] })).toBe(`${ROOT}/x`);
  });

  test('where Kubo is absent or hangs, the records of gateways do', async () => {
    const hanging = await startGatewayServer(silent);
    for (const rpc of ['http://127.0.0.1:1', hanging.url]) {
      const kubo = kuboControl({ rpc });
      const gateways = [{ url: node.gatewayUrl }];
      expect(await resolved(names.one ?? '', { kubo, gateways, headStartMs: 50 })).toBe(ROOT);
      await kubo.close();
    }
    await hanging.close();
  });

  describe('and gateways that lie about them', () => {
    let liar: GatewayServer;
    beforeEach(async () => {
      liar = await startGatewayServer();
    });
    afterEach(() => liar.close());
    const serve = (bytes: Uint8Array): Behaviour =>
      status(200, { 'content-type': 'application/vnd.ipfs.ipns-record' }, bytes);

    test('a record with one bit changed, wherever, is never believed', async () => {
      const good = await record(names.one ?? '');
      const answers = new Set<string>();
      for (let index = 0; index < good.length; index++) {
        const bad = Uint8Array.from(good);
        bad[index] = (bad[index] ?? 0) ^ 1;
        liar.behave(serve(bad));
        answers.add(await resolved(names.one ?? '', { gateways: [{ url: liar.url }] }).catch((error) => codeOf(error)));
      }
      // The old-style signature of a record is not part of what counts: with it damaged, the right answer is right.
      expect([...answers].sort()).toEqual(['NAME_UNRESOLVED', ROOT]);
    });

    test("another name's record is not believed", async () => {
      liar.behave(serve(await record(names.two ?? '')));
      await expect(resolved(names.one ?? '', { gateways: [{ url: liar.url }] })).rejects.toThrow(
        /IPNS record that is not valid/,
      );
    });

    test('an expired record is not believed', async () => {
      await publish('brief', `/ipfs/${ROOT}`, '--lifetime=1ms');
      liar.behave(serve(await record(names.brief ?? '')));
      await expect(resolved(names.brief ?? '', { gateways: [{ url: liar.url }] })).rejects.toThrow(/not valid/);
    });

    test('of two valid records the newer one counts, also against one seen before', async () => {
      await publish('brief', `/ipfs/${ROOT}/older`, '--lifetime=1h');
      const older = await record(names.brief ?? '');
      await publish('brief', `/ipfs/${ROOT}/newer`, '--lifetime=1h');
      liar.behave(serve(older));
      const both = [{ url: liar.url }, { url: node.gatewayUrl }];
      expect(await resolved(names.brief ?? '', { gateways: both })).toBe(`${ROOT}/newer`);
      const resolver = nameResolver({ gateways: [{ url: liar.url }] });
      liar.behave(serve(await record(names.brief ?? '')));
      expect((await resolver.resolve(names.brief ?? '', bounded())).path).toBe('newer');
      liar.behave(serve(older));
      expect((await resolver.resolve(names.brief ?? '', bounded())).path).toBe('newer');
      await resolver.close();
    });

    test.each([
      ['404', status(404), /answers 404/],
      ['HTML', status(200, { 'content-type': 'text/html' }, '<html>'), /answers 200 text\/html/],
      ['garbage', serve(Buffer.from('garbage')), /not valid/],
      ['nothing', serve(Buffer.alloc(0)), /not valid/],
      ['something endless', endless({ 'content-type': 'application/vnd.ipfs.ipns-record' }), /more than 10240 bytes/],
    ] as [string, Behaviour, RegExp][])('%s is told, and another gateway does', async (_name, behaviour, message) => {
      liar.behave(behaviour);
      await expect(resolved(names.one ?? '', { gateways: [{ url: liar.url }] })).rejects.toThrow(message);
      expect(await resolved(names.one ?? '', { gateways: [{ url: liar.url }, { url: node.gatewayUrl }] })).toBe(ROOT);
    });

    test('one that says nothing does not hold up another', async () => {
      liar.behave(silent);
      expect(await resolved(names.one ?? '', { gateways: [{ url: liar.url }, { url: node.gatewayUrl }] })).toBe(ROOT);
    });
  });
});

describe('a name that nobody resolves', () => {
  test('says what each way said', async () => {
    const server = await startGatewayServer();
    const kubo = kuboControl({ rpc: 'http://127.0.0.1:1' });
    const answer = resolved(KEY, { kubo, gateways: [{ url: server.url }] });
    await expect(answer).rejects.toMatchObject({ code: 'NAME_UNRESOLVED' });
    await expect(answer).rejects.toThrow(
      /kubo http:\/\/127.0.0.1:1 refused the connection.*; gateway http\S+ answers 404/,
    );
    await kubo.close();
    await server.close();
  });

  test('without any way there is a clear word', async () => {
    await expect(resolved(KEY, {})).rejects.toThrow(/no gateways to ask/);
  });

  test('an abort ends all ways', async () => {
    const server = await startGatewayServer(silent);
    const controller = new AbortController();
    const resolver = nameResolver({ gateways: [{ url: server.url }] });
    const code = failureCode(resolver.resolve(KEY, { signal: controller.signal }));
    const seen = await server.request(0);
    controller.abort();
    expect(await code).toBe('ABORTED');
    expect(await seen.hungUp).toBe(true);
    await resolver.close();
    await server.close();
  });
});
