/** The real thing: a mounted volume arrives by itself, outlives its source, and comes in its profile's order the next time. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { VolumeStatus } from '../../src/volumes/control-api.ts';
import { startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';

const DEADLINE_MS = 30_000;
const run = promisify(execFile);

describeWith(['root', 'fuse'], 'prefetching, served', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'prefetch-'));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

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

    const gateway = await startBlockGateway(blocks);
    await using first = await startDaemon({ directory, gateways: [gateway.url] });
    const mounted = join(await first.mount('data', root), 'sub');
    await run('cat', [join(mounted, 'file39')], { timeout: DEADLINE_MS });
    const status = await complete(first);
    const total = [...blocks.blocks.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    // The root came for the mount, before there was a volume to count it for.
    expect(status).toMatchObject({ bytesTotal: total, bytesCached: total, blocksFetched: blocks.blocks.size - 1 });
    expect(status.fetched.background.blocks).toBeGreaterThan(40);
    expect(new Set(gateway.asked).size).toBe(gateway.asked.length);

    await gateway.server.close();
    const { stdout } = await run('sh', ['-c', 'sha256sum *'], { cwd: mounted, timeout: DEADLINE_MS });
    const expected = [...contents].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).join('');
    expect(stdout).toBe(expected);
    await first.stop();

    // Another machine, as it were: the profile alone came along, with file39 first and the others behind.
    await rm(join(directory, 'state', 'cache'), { recursive: true });
    await using other = await startBlockGateway(blocks);
    await using second = await startDaemon({ directory, gateways: [other.url] });
    await using client = second.client();
    const profile = (await client.profile('data')) as { blocks: string[] };
    expect(profile.blocks).toContain(leaves.at(-1));
    await second.call('Mount', { Name: 'data', ID: 'two' });
    expect((await complete(second)).fetched.profile.blocks).toBeGreaterThan(0);
    const order = (cid: string) => other.asked.indexOf(cid);
    const [before, last] = leaves.slice(-2) as [string, string];
    // By the tree alone they would be the last; several sockets may still overtake each other.
    for (const leaf of [before, last]) expect(order(leaf)).toBeLessThan(other.asked.length / 2);

    await second.call('Unmount', { Name: 'data', ID: 'two' });
    expect((await client.evict('data')).freedBytes).toBe(total);
    expect((await client.prefetch('data')).bytesCached).toBe(total);

    await second.call('Create', { Name: 'fresh', Opts: { cid: root.toString() } });
    expect(await client.evict('data')).toEqual({ freedBytes: 0, keptBytes: total, sharedWith: ['fresh'] });
    await second.call('Remove', { Name: 'data' });
    expect(await client.evict('fresh')).toEqual({ freedBytes: total, keptBytes: 0, sharedWith: [] });

    await client.prefetch('fresh');
    await second.stop();
    await using third = await startDaemon({ directory, gateways: [] });
    await until('what nobody mounted is counted', async () => (await third.status('fresh')).counted);
    expect(await third.status('fresh')).toMatchObject({ state: 'complete', bytesCached: total, blocksFetched: 0 });
  });

  it('says what is here, and not what was: of a volume that is larger than the cache', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const parts = Array.from({ length: 60 }, (_, index) => dag.rawPart(Buffer.alloc(256 * 1024, `part ${index} `)));
    const root = dag.directory([{ name: 'file', cid: dag.part(parts).cid }]);
    await using gateway = await startBlockGateway(blocks);
    const environment = { IPFS_VOLUME_CACHE_SIZE: '4MiB', IPFS_VOLUME_PREFETCH: 'none' };
    await using daemon = await startDaemon({ directory, gateways: [gateway.url], environment });
    await run('cat', [join(await daemon.mount('data', root), 'file')], { encoding: 'buffer', maxBuffer: 32 << 20 });
    await using client = daemon.client();
    const shown = async () => {
      const { cache, volumes } = await client.status();
      return [volumes[0]?.bytesCached ?? 0, cache.bytes] as const;
    };
    await until('what was read is written or dropped', async () => {
      const [here, cached] = await shown();
      return here > 0 && here <= cached;
    });
    await daemon.call('Unmount', { Name: 'data', ID: 'data' });
    const [here, cached] = await shown();
    expect(here).toBeLessThanOrEqual(cached);
    expect(here).toBeGreaterThan(2 * 1024 ** 2);
  });

  async function complete(daemon: TestDaemon): Promise<VolumeStatus> {
    let status: VolumeStatus | undefined;
    await until('all is here', async () => {
      status = await daemon.status('data');
      return status.state === 'complete';
    });
    return status as VolumeStatus;
  }
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
