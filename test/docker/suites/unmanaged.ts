/** `ipfs-volume serve` on the host, found by the engine through its socket; and the calls that the engine makes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startDaemon, type TestDaemon } from '../../support/daemon.ts';
import { blocksOf, type GatewayServer, startGatewayServer } from '../../support/gateway-server.ts';
import type { Bench } from '../support/bench.ts';
import { IMAGE } from '../support/engine.ts';

/** The engine looks for it as `/run/docker/plugins/NAME.sock`. */
const DRIVER = `ipfs-test-${process.pid}`;

export function unmanaged(bench: Bench): void {
  const { engine } = bench;

  /** How often each verb that changes anything was answered for `name`, since `from`. */
  function calls(daemon: TestDaemon, name: string, from = 0): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const line of daemon.log.slice(from)) {
      if (!line.includes('answered Docker')) continue;
      const { path, name: of } = JSON.parse(line) as { path: string; name?: string };
      const verb = path.replace('/VolumeDriver.', '');
      if (of === name && verb !== 'Get') counts[verb] = (counts[verb] ?? 0) + 1;
    }
    return counts;
  }

  describe('serve, unmanaged', () => {
    let gateway: GatewayServer;
    let daemon: TestDaemon;
    beforeAll(async () => {
      gateway = await startGatewayServer(blocksOf(bench.blocks));
      daemon = await startDaemon({
        gateways: [gateway.url],
        socketPath: `/run/docker/plugins/${DRIVER}.sock`,
        settings: { LOG_LEVEL: 'debug' },
      });
    });
    afterAll(async () => {
      await daemon[Symbol.asyncDispose]();
      await gateway.close();
    });

    test('is found by its socket; run --rm and rm call Create, Mount, Unmount, Remove once each', async () => {
      const file = bench.dag.raw(Buffer.from('content\n'));
      const cid = bench.dag.directory([{ name: 'file', cid: file, tsize: 8 }]).toString();
      const data = ['--volume', `${cid}:/data`, '--volume-driver', DRIVER];
      expect(await engine.sh(data, 'cat /data/file')).toBe('content');
      await engine.ok('volume', 'rm', cid);
      expect(calls(daemon, cid)).toEqual({ Create: 1, Mount: 1, Unmount: 1, Remove: 1 });
      expect(daemon.log.filter((line) => line.includes('VolumeDriver.Capabilities'))).toHaveLength(1);

      const from = daemon.log.length;
      await engine.background('first', data);
      await engine.background('second', ['--volumes-from', 'first']);
      await engine.ok('rm', '--force', 'second', 'first');
      expect(calls(daemon, cid, from)).toEqual({ Create: 1, Mount: 2, Unmount: 2 });
    });

    test('a volume that a container has is not removed, whoever says so', async () => {
      const cid = bench.dag.directory([{ name: 'file', cid: bench.dag.raw(Buffer.from('x')), tsize: 1 }]).toString();
      await engine.background('has', ['--volume', `${cid}:/data`, '--volume-driver', DRIVER]);
      await expect(daemon.call('Remove', { Name: cid })).rejects.toThrow(/is mounted 1 time/);
      expect(await engine.ok('exec', 'has', 'cat', '/data/file')).toBe('x');
      await engine.ok('rm', '--force', 'has');
      // A count that nobody stands behind: as the engine leaves it where a container ends while it is down.
      await daemon.call('Mount', { Name: cid, ID: 'f'.repeat(64) });
      await engine.ok('volume', 'rm', cid);
      expect(
        await engine.docker(
          'run',
          '--rm',
          '--network',
          'none',
          '-v',
          `${cid}:/data`,
          '--volume-driver',
          DRIVER,
          IMAGE,
          'true',
        ),
      ).toMatchObject({ code: 0 });
    });
  });
}
