/** The real thing: a mounted volume arrives by itself, outlives its source, and comes in its profile's order the next time. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CID } from 'multiformats/cid';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { blockKey } from '../../src/blocks/block.ts';
import { DaemonClient } from '../../src/cli/daemon-client.ts';
import type { VolumeStatus } from '../../src/volumes/control-api.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
const DEADLINE_MS = 30_000;
const run = promisify(execFile);

/** A trustless gateway over a map; remembers what it was asked for. */
class Gateway {
  readonly asked: string[] = [];
  readonly #server: Server;

  constructor(blocks: BlockMap) {
    this.#server = createServer(({ url = '' }, response) => {
      const cid = /^\/ipfs\/(\w+)\?format=raw/.exec(url)?.[1];
      const bytes = cid && blocks.blocks.get(blockKey(CID.parse(cid)));
      if (!bytes) return response.writeHead(404).end();
      this.asked.push(CID.parse(cid).toV1().toString());
      response.writeHead(200, { 'content-type': 'application/vnd.ipld.raw', 'content-length': bytes.length });
      return response.end(bytes);
    });
  }

  async start(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }
}

describeWith(['root', 'fuse'], 'prefetching, served', () => {
  let directory: string;
  let daemon: ChildProcess | undefined;
  let gateway: Gateway;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'prefetch-'));
  });

  afterEach(async () => {
    await stop();
    await gateway.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function start(gatewayUrl: string): Promise<DaemonClient> {
    const socket = join(directory, 'ipfs.sock');
    daemon = spawn(process.execPath, [CLI, 'serve'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        PATH: process.env.PATH,
        IPFS_VOLUME_SOCKET: socket,
        IPFS_VOLUME_MOUNT_ROOT: join(directory, 'mnt'),
        IPFS_VOLUME_STATE_DIR: join(directory, 'state'),
        IPFS_VOLUME_KUBO_RPC: '',
        IPFS_VOLUME_GATEWAYS: gatewayUrl,
        IPFS_VOLUME_READ_TIMEOUT: '5s',
      },
    });
    const client = new DaemonClient(socket);
    // A socket is there a moment before it listens.
    await until(() =>
      client.status().then(
        () => true,
        () => false,
      ),
    );
    return client;
  }

  async function stop(): Promise<void> {
    if (!daemon || daemon.exitCode !== null) return;
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await ended;
  }

  it('brings all, reads on without its source, and follows its profile at the next mount', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const contents = new Map<string, Buffer>();
    const leaves: string[] = [];
    const children = Array.from({ length: 40 }, (_, index) => {
      const name = `file${String(index).padStart(2, '0')}`;
      const parts = [0, 1].map((part) => Buffer.alloc(20_000, `${name} ${part} `));
      contents.set(name, Buffer.concat(parts));
      const made = parts.map((part) => dag.rawPart(part));
      leaves.push(...made.map(({ cid }) => cid.toString()));
      return { name, cid: dag.part(made).cid };
    });
    const root = dag.directory([{ name: 'sub', cid: dag.directory(children) }]);

    gateway = new Gateway(blocks);
    await using first = await start(await gateway.start());
    await first.volumeDriver('Create', { Name: 'data', Opts: { cid: root.toString() } });
    await first.volumeDriver('Mount', { Name: 'data', ID: 'one' });
    const mounted = join(directory, 'mnt', 'data', 'sub');
    await run('cat', [join(mounted, 'file39')], { timeout: DEADLINE_MS });
    const status = await complete(first);
    const total = [...blocks.blocks.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    // The root came for the mount, before there was a volume to count it for.
    expect(status).toMatchObject({ bytesTotal: total, bytesCached: total, blocksFetched: blocks.blocks.size - 1 });
    expect(status.fetched.background.blocks).toBeGreaterThan(40);
    expect(new Set(gateway.asked).size).toBe(gateway.asked.length);

    await gateway.stop();
    const { stdout } = await run('sh', ['-c', 'sha256sum *'], { cwd: mounted, timeout: DEADLINE_MS });
    const expected = [...contents].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).join('');
    expect(stdout).toBe(expected);
    await stop();

    // Another machine, as it were: the profile alone came along, with file39 first and the others behind.
    await rm(join(directory, 'state', 'cache'), { recursive: true });
    gateway = new Gateway(blocks);
    await using second = await start(await gateway.start());
    const profile = (await second.profile('data')) as { blocks: string[] };
    expect(profile.blocks).toContain(leaves.at(-1));
    await second.volumeDriver('Mount', { Name: 'data', ID: 'two' });
    expect((await complete(second)).fetched.profile.blocks).toBeGreaterThan(0);
    const order = (cid: string) => gateway.asked.indexOf(cid);
    const [before, last] = leaves.slice(-2) as [string, string];
    // By the tree alone they would be the last; several sockets may still overtake each other.
    for (const leaf of [before, last]) expect(order(leaf)).toBeLessThan(gateway.asked.length / 2);

    await second.volumeDriver('Unmount', { Name: 'data', ID: 'two' });
    expect((await second.evict('data')).freedBytes).toBe(total);
    expect((await second.prefetch('data')).bytesCached).toBe(total);
  });

  async function complete(client: DaemonClient): Promise<VolumeStatus> {
    let status: VolumeStatus | undefined;
    await until(async () => {
      status = (await client.status()).volumes[0];
      return status?.state === 'complete';
    });
    return status as VolumeStatus;
  }
});

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  while (!(await holds())) await delay(20, undefined, { signal: deadline });
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
