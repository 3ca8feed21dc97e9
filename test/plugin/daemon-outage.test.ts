/**
 * What an operator sees while the only source is frozen: it accepts and stays silent, as a process under SIGSTOP does.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { blocksOf, type GatewayServer, silent, startGatewayServer } from '../support/gateway-server.ts';
import { describeWith } from '../support/machine.ts';

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
