/**
 * A day in short: readers, mounts and unmounts, a cache that turns over, and look-ups that are forgotten, while memory,
 * descriptors, timers, threads and the node table stay flat. `SOAK_SECONDS` lengthens it.
 *
 * The first sixth is for warming up; of the rest, the medians of the last third are held against those of the first.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as after } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { run } from '../fuse/outside.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, until } from '../support/daemon.ts';
import { blocksOf, startGatewayServer } from '../support/gateway-server.ts';
import { makeKnownVolume, randomBelow, randomFrom, randomOf, readKnown } from '../support/known-volumes.ts';
import { describeWith } from '../support/machine.ts';

const SECONDS = Number(process.env.SOAK_SECONDS ?? 60);
const READERS = 4;
const SAMPLE_MS = 500;
/** Against hangs. */
const READ_LIMIT_MS = 60_000;
/** 'Dentries and inodes': the kernel forgets what nobody uses (proc_sys_vm(5)). */
const DROP_DENTRIES = '2';
const DROP_EVERY_MS = 3000;

const MIB = 1024 * 1024;

interface Sample {
  readonly memoryMib: number;
  readonly descriptors: number;
  readonly threads: number;
  readonly timers: number;
  readonly nodes: number;
}

describeWith(['root', 'fuse'], 'soak', () => {
  it('stays flat', { timeout: (SECONDS + 120) * 1000 }, async () => {
    const random = randomFrom(1);
    const blocks = new BlockMap();
    const volumes = Array.from({ length: 8 }, (_, index) => makeKnownVolume(blocks, random, `soak${index}`, 3));
    const gateway = await startGatewayServer(blocksOf(blocks));
    await using servers = new AsyncDisposableStack();
    servers.defer(() => gateway.close());
    await using daemon = await startDaemon({ gateways: [gateway.url], settings: { CACHE_SIZE: '32MiB' } });
    const timersBefore = (await daemon.metrics()).value('nodejs_active_timers');
    const end = performance.now() + SECONDS * 1000;
    const counts = { mounts: 0, files: 0, listings: 0 };

    const reader = async (index: number): Promise<void> => {
      while (performance.now() < end) {
        const volume = randomOf(random, volumes);
        const name = `reader${index}`;
        // Sometimes all of it in the background too, sometimes with nodes of its own.
        const options = { prefetch: random() < 0.3 ? 'all' : 'none', uid: String(randomBelow(random, 3)) };
        const mountpoint = await daemon.mount(name, volume.root, options);
        counts.mounts++;
        const paths = [...volume.files.keys()].filter(() => random() < 0.3);
        counts.files += await readKnown(mountpoint, volume, paths, READ_LIMIT_MS);
        if (random() < 0.5) {
          const listed = await run('sh', '-c', 'find "$1" -type f -printf "%s\\n" | wc -l', 'sh', mountpoint);
          expect(listed.stdout.toString().trim()).toBe(String(volume.files.size));
          counts.listings++;
        }
        await daemon.remove(name);
      }
    };
    const samples: Sample[] = [];
    const sampler = async (): Promise<void> => {
      let droppedAt = performance.now();
      while (performance.now() < end) {
        if (performance.now() - droppedAt > DROP_EVERY_MS) {
          writeFileSync('/proc/sys/vm/drop_caches', DROP_DENTRIES);
          droppedAt = performance.now();
        }
        const { residentBytes, descriptors, threads } = daemon.footprint();
        const metrics = await daemon.metrics();
        const [timers, nodes] = [metrics.value('nodejs_active_timers'), metrics.value('ipfs_volume_nodes')];
        samples.push({ memoryMib: Math.round(residentBytes / MIB), descriptors, threads, timers, nodes });
        await after(SAMPLE_MS);
      }
    };
    await Promise.all([sampler(), ...Array.from({ length: READERS }, (_, index) => reader(index))]);

    const warm = samples.slice(Math.floor(samples.length / 6));
    const third = Math.floor(warm.length / 3);
    const [first, last] = [summary(warm.slice(0, third)), summary(warm.slice(-third))];
    const { cache } = await daemon.daemonStatus();
    const evictions = (await daemon.metrics()).value('ipfs_volume_cache_evictions_total');
    console.log(
      `soak of ${SECONDS} s: ${counts.mounts} mounts, ${counts.files} files read, ${counts.listings} listings, ` +
        `${gateway.requests.length} blocks fetched, ${evictions} evicted; medians of the first and the last third: ` +
        `memory ${first.memoryMib} and ${last.memoryMib} MiB, descriptors ${first.descriptors} and ${last.descriptors}, ` +
        `threads ${first.threads} and ${last.threads}, timers ${first.timers} and ${last.timers}, nodes ${first.nodes} and ${last.nodes}`,
    );
    expect(counts.mounts).toBeGreaterThan(READERS);
    expect(evictions).toBeGreaterThan(0);
    expect(cache.bytes).toBeLessThanOrEqual(cache.limitBytes);
    // A leak of a thousandth of what went through would show; noise is what the readers happen to read.
    expect(last.memoryMib).toBeLessThan(first.memoryMib * 1.25 + 50);
    expect(last.descriptors).toBeLessThan(first.descriptors * 1.5 + 50);
    expect(last.threads).toBeLessThanOrEqual(first.threads + 2);
    expect(last.nodes).toBeLessThan(first.nodes * 2 + 300);

    // Nothing is mounted, and nothing is held for long.
    expect(await daemon.call('List', {})).toMatchObject({ Volumes: [] });
    writeFileSync('/proc/sys/vm/drop_caches', DROP_DENTRIES);
    // While readers wait there are some for each of them; sockets that are kept alive have theirs.
    await until('its timers are gone', async () => {
      return (await daemon.metrics()).value('nodejs_active_timers') <= timersBefore + 20;
    });
    expect((await daemon.metrics()).total('ipfs_volume_wants_waiting')).toBe(0);
  });
});

function summary(samples: readonly Sample[]): Sample {
  const median = (of: (sample: Sample) => number) =>
    samples.map(of).sort((a, b) => a - b)[samples.length >> 1] ?? Number.NaN;
  return {
    memoryMib: median((sample) => sample.memoryMib),
    descriptors: median((sample) => sample.descriptors),
    threads: median((sample) => sample.threads),
    timers: median((sample) => sample.timers),
    nodes: median((sample) => sample.nodes),
  };
}
