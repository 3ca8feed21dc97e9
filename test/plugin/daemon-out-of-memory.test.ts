/**
 * The machine's memory at an end: the kernel kills the daemon, as the largest process of a bounded cgroup. Readers go on with
 * the next one, and what it was killed for three times is given up.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { shell, startFor } from '../fuse/outside.ts';
import { type BlockGateway, startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';
import { MemoryCgroup } from '../support/memory-cgroup.ts';
import { read, sha256 } from '../support/reading.ts';

/** Several times what supervisor and daemon take. */
const LIMIT_BYTES = 768 * 1024 ** 2;
/** Of a reader who outlives three daemons. */
const OUTLIVES_MS = 120_000;
const BLOCKS = 64;
const BLOCK_BYTES = 256 * 1024;
/** At a signal the daemon takes memory that V8 does not bound, until the kernel has no more. */
const TAKE_ALL = 'process.on("SIGUSR2", () => { for (const kept = []; ; ) kept.push(Buffer.alloc(2 ** 24, 1)) })';

describeWith(['root', 'fuse', 'memory-cgroup'], 'a daemon that the kernel kills for want of memory', () => {
  let gateway: BlockGateway;
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const parts = Array.from({ length: BLOCKS }, (_, part) => Buffer.alloc(BLOCK_BYTES, `part ${part} `));
  const large = dag.part(parts.map((part) => dag.rawPart(part))).cid;
  const waited = dag.directory([{ name: 'leaf', cid: dag.part([], Buffer.from('leaf')).cid }]);
  const root = dag.directory([
    { name: 'large', cid: large },
    { name: 'waited', cid: waited },
  ]);

  beforeAll(async () => {
    gateway = await startBlockGateway(blocks);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  async function killedBy(daemon: TestDaemon, signal: NodeJS.Signals): Promise<void> {
    const deaths = () => daemon.log.filter((line) => line.includes('"the daemon died"')).length;
    const before = deaths();
    process.kill(daemon.daemonPid, signal);
    await until('the kernel has killed it', () => deaths() > before);
    expect(JSON.parse(daemon.log.findLast((line) => line.includes('"the daemon died"')) ?? '').how).toBe('SIGKILL');
    await until('another answers', async () => (await daemon.call('List', {})) !== undefined);
  }

  async function serve(group: MemoryCgroup): Promise<TestDaemon> {
    const preload = `--import=data:text/javascript,${encodeURIComponent(TAKE_ALL)}`;
    const daemon = await startDaemon({
      gateways: [gateway.url],
      launcher: group.launcher,
      settings: { PREFETCH: 'none', READ_TIMEOUT: '60s' },
      environment: { NODE_OPTIONS: preload },
    });
    await daemon.mount('data', root);
    return daemon;
  }

  it('is followed by another, and no reader notices; its supervisor is spared', async () => {
    using group = new MemoryCgroup('ipfs-volume-oom', LIMIT_BYTES);
    await using daemon = await serve(group);
    const { pid } = daemon;
    // The first half comes at once, the rest once the daemon is another.
    let sent = 0;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    gateway.hold = () => (sent++ < BLOCKS / 2 ? undefined : released);
    const reading = read(join(daemon.mountRoot, 'data', 'large'));
    await until('half of it was sent', () => sent > BLOCKS / 2);
    await killedBy(daemon, 'SIGUSR2');
    release();
    gateway.hold = undefined;
    expect((await reading).result).toBe(sha256(Buffer.concat(parts)));
    expect(daemon.pid).toBe(pid);
  });

  it('counts towards what a waiting request may have caused: after three it is EIO', async () => {
    using group = new MemoryCgroup('ipfs-volume-oom', LIMIT_BYTES);
    await using daemon = await serve(group);
    // Each daemon may ask for the root by itself; what is below it is asked for by the request alone.
    const below = () => gateway.asked.filter((cid) => cid !== `${root}`).length;
    gateway.hold = (cid) => (cid === `${root}` ? undefined : new Promise(() => undefined));
    let seen = below();
    const waiting = startFor(OUTLIVES_MS, 'ls', join(daemon.mountRoot, 'data', 'waited'));
    for (let kills = 0; kills < 3; kills++) {
      await until('its block is on its way', () => below() > seen);
      seen = below();
      await killedBy(daemon, 'SIGUSR2');
    }
    expect((await waiting.outcome).stderr).toContain('Input/output error');
    gateway.hold = undefined;
    expect(await shell('cat "$1/data/waited/leaf"', daemon.mountRoot)).toBe('leaf');
  });
});
