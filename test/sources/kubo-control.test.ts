/** What we ask of Kubo besides blocks: a real node, and addresses that are none. */
import { CID } from 'multiformats/cid';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type KuboControl, kuboControl } from '../../src/sources/kubo-control.ts';
import { KUBO_VERSION } from '../kubo/build.ts';
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
import { demand, failureCode } from './source-contract.ts';

describeWith(['kubo'], 'control of a real node', () => {
  let node: KuboNode;
  let peer: KuboNode;
  let control: KuboControl;
  beforeAll(async () => {
    [node, peer] = await Promise.all([startKubo(), startKubo()]);
    control = kuboControl({ rpc: node.rpcUrl });
  });
  afterAll(async () => {
    await control?.close();
    await Promise.all([node?.stop(), peer?.stop()]);
  });

  test('its version', async () => {
    expect(await control.version(demand())).toBe(KUBO_VERSION);
  });

  test('connecting it to a peer, so that it finds what the peer has', async () => {
    const root = await peer.line(['add', '-Q'], 'at the peer');
    await control.connect(await peer.swarmAddress(), demand());
    expect(await node.line(['swarm', 'peers'])).toContain(await peer.swarmAddress());
    expect(await node.line(['cat', root])).toBe('at the peer');
  });

  test('a peer that is not there, and one that is no address', async () => {
    const gone = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWN4LsKCxYboxiXZBHYuwpxmzd5DYRzvB6agqqdmMwXaou';
    await expect(control.connect(gone, demand())).rejects.toThrow(/says: .*connection refused/);
    await expect(control.connect('somewhere', demand())).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });

  test('pinning, and unpinning as often as one likes', async () => {
    const root = CID.parse(await node.line(['add', '-Q', '--pin=false'], 'to be pinned'));
    const pins = () => node.line(['pin', 'ls', '--type=recursive', '-q']);
    await control.pin(root, demand());
    expect(await pins()).toContain(root.toString());
    await control.unpin(root, demand());
    await control.unpin(root, demand());
    expect(await pins()).not.toContain(root.toString());
  });

  test('a pin of somebody else serves, and stays as it is', async () => {
    const root = CID.parse(await node.line(['add', '-Q', '--pin=false'], 'pinned by its owner'));
    const pin = () => node.line(['pin', 'ls', '--type=recursive', '--names', root.toString()]);
    for (const name of ['', '--name=of-mine']) {
      await node.run(['pin', 'add', ...(name ? [name] : []), root.toString()]);
      const before = await pin();
      await control.pin(root, demand());
      await control.unpin(root, demand());
      expect(await pin()).toBe(before);
    }
  });

  test('pinning what nobody has lasts until the caller hangs up', async () => {
    const absent = CID.parse('bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e');
    const controller = new AbortController();
    const pinning = failureCode(control.pin(absent, demand(controller.signal)));
    while ((await node.line(['bitswap', 'stat'])).includes('wantlist [0 keys]')) await new Promise(setImmediate);
    controller.abort();
    expect(await pinning).toBe('ABORTED');
  });
});

describeWith(['kubo'], 'names, from a node that knows its own', () => {
  let node: KuboNode;
  let control: KuboControl;
  beforeAll(async () => {
    // Online, Kubo asks its routing even for its own names, and these nodes have none.
    node = await startKubo({ offline: true });
    control = kuboControl({ rpc: node.rpcUrl });
  });
  afterAll(async () => {
    await control?.close();
    await node?.stop();
  });

  test('a name of its own', async () => {
    const root = await node.line(['add', '-Q', '--cid-version=1'], 'published');
    await node.run(['name', 'publish', '--allow-offline', `/ipfs/${root}`]);
    const self = await node.line(['id', '-f', '<id>']);
    expect(await control.resolveName(`/ipns/${self}`, demand())).toBe(`/ipfs/${root}`);
  });

  test('a name that nobody published is NAME_UNRESOLVED with its words', async () => {
    const name = '/ipns/k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r';
    const answer = control.resolveName(name, demand());
    await expect(answer).rejects.toMatchObject({
      code: 'NAME_UNRESOLVED',
      message: expect.stringContaining('could not resolve'),
    });
  });
});

describe('control of an address that is no Kubo', () => {
  let server: GatewayServer;
  let control: KuboControl;
  beforeEach(async () => {
    server = await startGatewayServer();
    control = kuboControl({ rpc: server.url.replace('//', '//user:secret@'), timeouts: { answerMs: 200 } });
  });
  afterEach(async () => {
    await control.close();
    await server.close();
  });

  const json = { 'content-type': 'application/json' };
  test.each([
    ['HTML', status(200, { 'content-type': 'text/html' }, '<html>'), /not a Kubo RPC: it answers 200 text\/html/],
    ['404', status(404), /not a Kubo RPC: it answers 404/],
    ['random JSON', status(200, json, '{"version":"1"}'), /not a Kubo RPC/],
    ['JSON that is null', status(200, json, 'null'), /not a Kubo RPC/],
    ['something endless', endless(json), /not a Kubo RPC/],
    ['a redirect', status(302, { location: 'http://other.example/' }), /which is not followed/],
    ['403', status(403), /refuses the authorization/],
    ['nothing', silent, /said nothing for 0.2 s/],
  ] as [string, Behaviour, RegExp][])('%s', async (_name, behaviour, message) => {
    server.behave(behaviour);
    const calls = [
      () => control.version(demand()),
      () => control.resolveName('/ipns/x', demand()),
      () => control.connect('/ip4/127.0.0.1/tcp/1', demand()),
    ];
    for (const call of calls) {
      const error = await call().catch((thrown) => thrown);
      expect(error).toMatchObject({ code: 'SOURCE_FAILED', message: expect.stringMatching(message) });
      expect(error.message).not.toContain('secret');
    }
    expect(server.requests.every(({ url }) => url.pathname === '/api/v0/version')).toBe(true);
  });

  test('nobody there', async () => {
    await server.close();
    await expect(control.version(demand())).rejects.toThrow(/refused the connection/);
    server = await startGatewayServer();
  });

  test('the authorization is sent, by our own request and by the client', async () => {
    server.behave((request, response) => {
      const body = request.url?.includes('version') ? '{"Version":"0.43.1"}' : '{"Path":"/ipfs/bafkqaaa"}';
      status(200, json, body)(request, response);
    });
    expect(await control.resolveName('/ipns/x', demand())).toBe('/ipfs/bafkqaaa');
    const basic = `Basic ${Buffer.from('user:secret').toString('base64')}`;
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([basic, basic]);
  });
});
