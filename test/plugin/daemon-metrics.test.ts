/** A daemon's metrics after real reads, on the socket and over TCP, before and after the daemon died. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'undici';
import { expect, it } from 'vitest';
import { startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';
import { PrometheusText } from '../support/prometheus.ts';

const run = promisify(execFile);
const DEADLINE_MS = 30_000;
const SECRET = 'correct-horse';

describeWith(['root', 'fuse'], 'metrics of a daemon', () => {
  it('count what readers did, hold no secret, and outlive the daemon', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const parts = [0, 1, 2].map((part) => dag.rawPart(Buffer.alloc(50_000, `part ${part}`)));
    const root = dag.directory([{ name: 'file', cid: dag.part(parts).cid }]);
    await using gateway = await startBlockGateway(blocks);
    const withSecret = gateway.url.replace('http://', `http://user:${SECRET}@`);
    const source = `gateway ${gateway.url}`;
    await using daemon = await startDaemon({
      gateways: [`${withSecret}/?token=${SECRET}`],
      settings: { METRICS: ':0', PREFETCH: 'none' },
    });
    const name = 'data "of\\ mine"';
    const mountpoint = await daemon.mount(name, root);
    await run('cat', [join(mountpoint, 'file')], { timeout: DEADLINE_MS });

    const { metrics: url } = await logged(daemon, 'serving');
    const text = await scrape(String(url));
    expect(text).not.toContain(SECRET);
    const metrics = new PrometheusText(text);
    expect(metrics.total('ipfs_volume_fetched_blocks_total')).toBe(blocks.blocks.size);
    const allBytes = [...blocks.blocks.values()].reduce((sum, { length }) => sum + length, 0);
    expect(metrics.total('ipfs_volume_fetched_bytes_total')).toBe(allBytes);
    expect(metrics.value('ipfs_volume_source_bytes_total', { source })).toBe(allBytes);
    expect(metrics.value('ipfs_volume_source_failing', { source })).toBe(0);
    expect(metrics.value('ipfs_volume_wants_total', { priority: 'demand' })).toBeGreaterThan(0);
    const waits = { priority: 'demand', le: '+Inf' };
    expect(metrics.value('ipfs_volume_want_wait_seconds_bucket', waits)).toBeGreaterThan(0);
    expect(metrics.value('ipfs_volume_want_wait_seconds_sum', { priority: 'demand' })).toBeGreaterThan(0);
    expect(metrics.total('ipfs_volume_wants_waiting')).toBe(0);
    expect(metrics.value('ipfs_volume_fuse_requests_total', { operation: 'lookup' })).toBeGreaterThanOrEqual(2);
    expect(metrics.value('ipfs_volume_fuse_requests_total', { operation: 'read' })).toBeGreaterThanOrEqual(1);
    expect(metrics.value('ipfs_volume_nodes')).toBeGreaterThanOrEqual(2);
    expect(metrics.value('ipfs_volume_volume_mounts', { volume: name })).toBe(1);
    expect(metrics.value('ipfs_volume_volume_cached_bytes', { volume: name })).toBeGreaterThan(150_000);
    expect(metrics.value('ipfs_volume_cache_limit_bytes')).toBe(10 * 1024 ** 3);
    expect(metrics.value('ipfs_volume_daemon_restarts_total')).toBe(0);
    expect(metrics.value('process_start_time_seconds')).toBeGreaterThan(1_700_000_000);
    expect(metrics.value('process_open_fds')).toBeGreaterThan(3);
    expect([...new PrometheusText(await scrapeSocket(daemon.socketPath)).metrics.keys()]).toEqual([
      ...metrics.metrics.keys(),
    ]);

    process.kill(daemon.daemonPid, 'SIGKILL');
    await logged(daemon, 'the daemon died');
    const after = new PrometheusText(await scrape(String(url)));
    expect(after.value('ipfs_volume_daemon_restarts_total')).toBe(1);
    expect(after.value('ipfs_volume_volume_mounts', { volume: name })).toBe(1);
  });

  it('say who waits, since when and for what, and which source fails', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const part = dag.rawPart(Buffer.alloc(50_000, 'part'));
    const root = dag.directory([{ name: 'file', cid: dag.part([part]).cid }]);
    await using gateway = await startBlockGateway(blocks);
    const released = Promise.withResolvers<void>();
    gateway.hold = (cid) => (cid === part.cid.toString() ? released.promise : undefined);
    await using daemon = await startDaemon({ gateways: [gateway.url], settings: { PREFETCH: 'none', METRICS: ':0' } });
    const mountpoint = await daemon.mount('v', root);
    const reader = run('cat', [join(mountpoint, 'file')], { timeout: DEADLINE_MS });
    await until('the reader waits', async () => ((await daemon.status('v')).waiting?.seconds ?? 0) > 0.2);
    const { waiting } = await daemon.status('v');
    expect(waiting?.for).toMatch(/^bytes 0 to 49999 of bafy/);
    expect(waiting?.readers).toBeGreaterThanOrEqual(1);
    const { metrics: url } = await logged(daemon, 'serving');
    const metrics = new PrometheusText(await scrape(String(url)));
    expect(metrics.value('ipfs_volume_volume_waiting_readers', { volume: 'v' })).toBe(waiting?.readers);
    expect(metrics.value('ipfs_volume_volume_longest_wait_seconds', { volume: 'v' })).toBeGreaterThan(0.2);
    expect(metrics.value('ipfs_volume_wants_waiting', { priority: 'demand' })).toBe(1);
    released.resolve();
    await reader;
    expect((await daemon.status('v')).waiting).toBeNull();

    await gateway.server.close();
    const lost = dag.directory([{ name: 'lost', cid: root }]);
    await daemon.create('lost', lost);
    const gone = new AbortController();
    const mounting = daemon.call('Mount', { Name: 'lost', ID: 'x' }, gone.signal).catch(() => undefined);
    await using client = daemon.client();
    const sourceNow = async () => (await client.status()).sources[0];
    // Its idle connections are cut first.
    await until('the source fails', async () => {
      const { state, lastError, errors = 0 } = (await sourceNow()) ?? {};
      return state === 'failing' && errors > 2 && /refused/.test(lastError ?? '');
    });
    const source = await sourceNow();
    expect(source).toMatchObject({ failingSeconds: expect.any(Number), lastErrorSecondsAgo: expect.any(Number) });
    const failing = new PrometheusText(await scrape(String(url)));
    expect(failing.value('ipfs_volume_source_failing', { source: source?.name ?? '' })).toBe(1);
    expect(failing.value('ipfs_volume_source_errors_total', { source: source?.name ?? '' })).toBeGreaterThan(2);
    gone.abort();
    await mounting;
  });

  it('say at the start that their address is taken, and leave nothing behind', async () => {
    await using first = await startDaemon({ settings: { METRICS: ':0' } });
    const { metrics: url } = await logged(first, 'serving');
    const { host } = new URL(String(url));
    const other = join(first.directory, 'other');
    const environment = {
      PATH: process.env.PATH,
      IPFS_VOLUME_SOCKET: join(other, 'ipfs.sock'),
      IPFS_VOLUME_MOUNT_ROOT: join(other, 'mnt'),
      IPFS_VOLUME_STATE_DIR: join(other, 'state'),
      IPFS_VOLUME_METRICS: host,
    };
    const cli = new URL('../../dist/cli.js', import.meta.url).pathname;
    const failure = await run(process.execPath, [cli, 'serve'], { env: environment, timeout: DEADLINE_MS }).then(
      () => undefined,
      (error: { code: number; stderr: string }) => error,
    );
    expect(failure?.code).toBe(1);
    expect(failure?.stderr).toContain(`IPFS_VOLUME_METRICS cannot be used: nothing can listen on ${host}`);
    expect(failure?.stderr.trim().split('\n')).toHaveLength(1);
    const { stdout } = await run('cat', ['/proc/mounts']);
    expect(stdout).not.toContain(other);
  });
});

async function scrape(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(DEADLINE_MS) });
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return response.text();
}

async function scrapeSocket(socketPath: string): Promise<string> {
  const client = new Client('http://ipfs-volume', { connect: { socketPath } });
  try {
    return await (await client.request({ method: 'GET', path: '/metrics' })).body.text();
  } finally {
    await client.destroy();
  }
}
