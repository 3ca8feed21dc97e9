/**
 * What an operator sees while the only source is frozen: it accepts and stays silent, as a process under SIGSTOP does.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { blocksOf, type GatewayServer, silent, startGatewayServer } from '../support/gateway-server.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';
import { read } from '../support/reading.ts';

describeWith(['root', 'fuse'], 'a source that is frozen', () => {
  const dag = new DagBuilder(new BlockMap());
  const root = dag.directory(Array.from({ length: 100 }, (_, index) => ({ name: `file${index}`, ...rawFile(index) })));
  let gateway: GatewayServer;
  let daemon: TestDaemon;

  function rawFile(index: number) {
    // Too large to be read ahead with others.
    const bytes = Buffer.alloc(1_100_000, `${index} `);
    return { cid: dag.raw(bytes), tsize: bytes.length };
  }

  beforeEach(async () => {
    gateway = await startGatewayServer(blocksOf(dag.blocks));
    daemon = await startDaemon({ gateways: [gateway.url], settings: { PREFETCH: 'none', READ_TIMEOUT: '2s' } });
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
    await gateway.close();
  });

  it('is shown as failing after 20 s in which it said nothing, to status, metrics and log, and good once it answers', async () => {
    const mountpoint = await daemon.mount('v', root);
    let next = 0;
    const readNext = () => read(`${mountpoint}/file${next++}`);
    const source = async () => (await daemon.daemonStatus()).sources[0];
    const metric = async () => (await daemon.metrics()).total('ipfs_volume_source_failing');
    await readNext();
    expect(await source()).toMatchObject({ state: 'good', lastError: null });
    gateway.behave(silent);
    // Each waits for two seconds, and none is there for twenty.
    let timedOut = 0;
    const atMs = performance.now();
    await until(
      'it is failing',
      async () => {
        // Some came ahead of their reader.
        if ((await readNext()).result === 'Connection timed out') timedOut++;
        return (await source())?.state === 'failing';
      },
      120_000,
    );
    expect(performance.now() - atMs).toBeGreaterThan(19_000);
    // Ten, where the machine does nothing else.
    expect(timedOut).toBeGreaterThan(3);
    const failing = await source();
    expect(failing).toMatchObject({ lastError: 'no answer within 20 s' });
    expect([failing?.failingSeconds, failing?.errors].every((value) => (value ?? 0) > 0)).toBe(true);
    expect(await metric()).toBe(1);
    expect(await logged(daemon, 'a source is failing')).toMatchObject({
      level: 'warn',
      source: `gateway ${gateway.url}`,
      error: 'no answer within 20 s',
    });

    const failed = await logged(daemon, 'a reader got an error instead of content');
    expect(failed).toMatchObject({ level: 'warn', volume: 'v', code: 'BLOCK_TIMEOUT', failures: expect.any(Number) });
    expect(failed.what).toMatch(/^(bytes \d+ to \d+ of|"file\d+" in) baf/);
    expect(failed.error).toMatch(/block baf\w+ did not come within 2 s \(gateway .*no answer yet\)/);
    const lines = daemon.log.filter((line) => line.includes('a reader got an error'));
    expect(lines.length).toBeLessThan(timedOut / 2);

    gateway.behave(blocksOf(dag.blocks));
    expect((await readNext()).result).toMatch(/^[0-9a-f]{64}$/);
    expect((await source())?.state).toBe('good');
    expect(await metric()).toBe(0);
    expect(await logged(daemon, 'a source works again')).toMatchObject({ level: 'info' });
  });

  it('fails the first Mount of a known volume whose root is not here, in time and by name, and no other', async () => {
    const mount = (name: string) => daemon.call('Mount', { Name: name, ID: name });
    const unmount = (name: string) => daemon.call('Unmount', { Name: name, ID: name });
    await daemon.mount('v', root);
    await unmount('v');
    // Its root is here: nobody is asked.
    gateway.behave(silent);
    const asked = gateway.requests.length;
    await mount('v');
    expect(gateway.requests.length).toBe(asked);
    await unmount('v');

    await using client = daemon.client();
    await client.evict('v');
    // Nor in memory.
    process.kill(daemon.daemonPid, 'SIGKILL');
    const says = new RegExp(
      `block ${root} did not come within 2 s \\(gateway .*no answer yet\\); "ipfs-volume doctor"`,
    );
    await expect(mount('v')).rejects.toThrow(says);
    expect(await daemon.status('v')).toMatchObject({
      state: 'failing',
      lastError: expect.stringMatching(says),
      mounts: 0,
    });

    gateway.behave(blocksOf(dag.blocks));
    await mount('v');
    expect(await daemon.status('v')).toMatchObject({ state: 'mounted', lastError: null, mounts: 1 });
    await unmount('v');
  });
});
