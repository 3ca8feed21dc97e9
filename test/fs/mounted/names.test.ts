/**
 * Volumes of names: IPNS through a real Kubo's RPC and by the verified records of its gateway, DNSLink by a DNS of the
 * test's own, and content that only a peer has. A volume keeps what its name led to for as long as it is mounted.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { run, shell } from '../../fuse/outside.ts';
import { startDaemon, type TestDaemon } from '../../support/daemon.ts';
import { type KuboNode, startKubo } from '../../support/kubo.ts';
import { describeWith } from '../../support/machine.ts';
import { txtAnswer } from '../../support/txt-answer.ts';
import { addPath, CLI } from './support/command-line.ts';
import { expectSameTree, withoutMetadata } from './support/same-tree.ts';
import { noise } from './support/source-trees.ts';

/** Any 32 bytes: who has them is in the network. */
const NETWORK_KEY = '5a'.repeat(32);
/** Loopback, and nobody's: a resolver asks port 53 of whatever address it is told. */
const NAME_SERVER = '127.0.53.99';

describeWith(['root', 'fuse', 'kubo'], 'volumes of names that Kubo published', () => {
  let kubo: KuboNode;
  let name: string;
  const roots: string[] = [];
  beforeAll(async () => {
    kubo = await startKubo({ offline: true });
    name = await kubo.line(['key', 'gen', 'site']);
    for (const text of ['first', 'second']) {
      const file = await kubo.line(['add', '-Q', '--cid-version=1'], text);
      roots.push(
        await kubo
          .line(['files', 'mkdir', `/${text}`])
          .then(() => kubo.line(['files', 'cp', `/ipfs/${file}`, `/${text}/file`]))
          .then(() => kubo.line(['files', 'stat', '--hash', `/${text}`])),
      );
    }
  });
  afterAll(() => kubo?.stop());

  const publish = (root: string | undefined) =>
    kubo.run(['name', 'publish', '--allow-offline', '--key=site', '--ttl=1s', `/ipfs/${root}`]);

  for (const way of ['its RPC', 'the record its gateway serves']) {
    test(`an IPNS name through ${way}: kept while mounted, looked up anew at the next mount`, async () => {
      await publish(roots[0]);
      await using daemon = await startDaemon(
        way === 'its RPC' ? { kuboRpc: kubo.rpcUrl } : { gateways: [kubo.gatewayUrl] },
      );
      const mount = (id: string) => daemon.call<{ Mountpoint: string }>('Mount', { Name: 'site', ID: id });
      const read = (mountpoint: string) => shell('cat "$1/file"', mountpoint);
      await daemon.call('Create', { Name: 'site', Opts: { path: `/ipns/${name}`, timeout: '10s' } });
      const { Mountpoint } = await mount('one');
      expect(await read(Mountpoint)).toBe('first');

      await publish(roots[1]);
      // For another container too, and by the daemon that comes after this one.
      process.kill(daemon.daemonPid, 'SIGKILL');
      expect(await read((await mount('two')).Mountpoint)).toBe('first');
      await daemon.call('Unmount', { Name: 'site', ID: 'one' });
      expect(await read(Mountpoint)).toBe('first');
      expect((await daemon.status('site')).cid).toBe(roots[0]);

      await daemon.call('Unmount', { Name: 'site', ID: 'two' });
      expect(await read((await mount('three')).Mountpoint)).toBe('second');
      expect((await daemon.status('site')).cid).toBe(roots[1]);
    });
  }

  test('a path below a name, as a URL; and a name that nobody published fails with one line', async () => {
    await publish(roots[0]);
    await using daemon = await startDaemon({ kuboRpc: kubo.rpcUrl });
    await daemon.call('Create', { Name: 'file', Opts: { path: `ipns://${name}/file` } });
    const { Mountpoint } = await daemon.call<{ Mountpoint: string }>('Mount', { Name: 'file', ID: '1' });
    expect(await shell('cat "$1"', Mountpoint)).toBe('first');

    const nobody = await kubo.line(['key', 'gen', 'unpublished']);
    await daemon.call('Create', { Name: 'nobody', Opts: { path: `/ipns/${nobody}` } });
    await expect(daemon.call('Mount', { Name: 'nobody', ID: '1' })).rejects.toThrow(
      new RegExp(`^.*"${nobody}" does not resolve: .*$`),
    );
  });
});

describeWith(['root', 'fuse', 'kubo'], 'content that a peer has', () => {
  let ours: KuboNode;
  let theirs: KuboNode;
  let scratch: string;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'peers-'));
    // A network of two, which have never met: without `peers=` the one finds nothing of the other.
    [ours, theirs] = await Promise.all([
      startKubo({ networkKey: NETWORK_KEY }),
      startKubo({ networkKey: NETWORK_KEY }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([ours?.stop(), theirs?.stop()]);
    rmSync(scratch, { recursive: true, force: true });
  });

  test('is had where peers= names it, in a private network', async () => {
    const source = join(scratch, 'source');
    mkdirSync(source);
    for (const size of [0, 10, 300_000, 3_000_000]) writeFileSync(join(source, `${size}`), noise(size, size + 7));
    const root = await theirs.line(['add', '-rQ', '--cid-version=1', source]);
    await using daemon = await startDaemon({ kuboRpc: ours.rpcUrl });
    await expect(daemon.mount('lonely', root, { timeout: '1s' })).rejects.toThrow(
      `block ${root} did not come within 1 s (kubo ${ours.rpcUrl}: no answer yet)`,
    );
    const peers = await theirs.swarmAddress();
    await expectSameTree(await daemon.mount('together', root, { peers, timeout: '20s' }), source, withoutMetadata);
  });
});

describeWith(['root', 'fuse'], 'a volume of a domain', () => {
  let server: Socket;
  let scratch: string;
  let daemon: TestDaemon;
  beforeEach(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'dnslink-'));
    server = createSocket('udp4');
    server.bind(53, NAME_SERVER);
    await once(server, 'listening');
  });
  afterEach(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await new Promise<void>((done) => server.close(() => done()));
    rmSync(scratch, { recursive: true, force: true });
  });

  test('DNSLink by the machine’s DNS', async () => {
    mkdirSync(join(scratch, 'source'));
    writeFileSync(join(scratch, 'source', 'file'), 'by its domain');
    daemon = await startDaemon({ directory: join(scratch) });
    const root = await addPath(daemon.socketPath, join(scratch, 'source'));
    await daemon.stop();
    const asked: string[] = [];
    server.on('message', (query, from) => {
      asked.push(query.subarray(12, query.indexOf(0, 12)).toString('latin1'));
      server.send(txtAnswer(query, [`dnslink=/ipfs/${root}`]), from.port, from.address);
    });
    // The machine's name server is said in one file. A namespace of the command's own has another there, and the mount.
    writeFileSync(join(scratch, 'resolv.conf'), `nameserver ${NAME_SERVER}\n`);
    mkdirSync(join(scratch, 'target'));
    const script = `set -e
mount --bind "$1/resolv.conf" /etc/resolv.conf
mkfifo "$1/said"
IPFS_VOLUME_SOCKET=/nonexistent IPFS_VOLUME_STATE_DIR="$1/state" IPFS_VOLUME_KUBO_RPC= IPFS_VOLUME_GATEWAYS= \\
  "$2" "$3" mount /ipns/docs.example "$1/target" > "$1/said" &
read -r line < "$1/said"
echo "$line"
cat "$1/target/file"
kill -INT $!
wait $!`;
    const outcome = await run('unshare', '--mount', 'sh', '-c', script, 'sh', scratch, process.execPath, CLI);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout.toString()).toBe(`mounted /ipns/docs.example at ${scratch}/target\nby its domain`);
    expect(asked[0]).toBe('\x08_dnslink\x04docs\x07example');
  });
});
