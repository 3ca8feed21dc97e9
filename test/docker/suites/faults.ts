/** Readers that wait for what does not come, and a daemon that is killed under its readers. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { until } from '../../support/daemon.ts';
import { type Bench, PLUGIN, volume } from '../support/bench.ts';
import { IMAGE } from '../support/engine.ts';

/** The read time-out is 60 s, and the engine's own patience with a process that does not die 10 s. */
const WITHIN_MS = 30_000;
const FILES = 60;
const FILE_BYTES = 256 * 1024;

export function faults(bench: Bench): void {
  const { engine } = bench;

  describe('a container that waits for an absent block', () => {
    test.each([
      ['docker stop', 'exec cat /data/file', ['stop', '--time', '1']],
      ['docker stop, under a shell', 'cat /data/file & wait', ['stop', '--time', '5']],
      ['docker kill', 'exec cat /data/file', ['kill']],
      ['docker rm --force', 'exec cat /data/file', ['rm', '--force']],
      ['docker kill, in a listing', 'exec ls -l /data', ['kill']],
    ])('is ended by %s', async (what, script, command) => {
      const { root, lastBlock } = bench.absentContent(what, script.includes('ls'));
      await engine.background('waits', volume(root), script);
      await until('the gateway is asked for the block', () => bench.asked.has(lastBlock));
      const { code, tookMs, stderr } = await engine.docker(...command, 'waits');
      expect(stderr).toBe('');
      expect(code).toBe(0);
      if (command[0] !== 'rm') await engine.ok('wait', 'waits');
      expect(tookMs).toBeLessThan(WITHIN_MS);
      await engine.docker('rm', '--force', 'waits');
      expect(await engine.status(root)).toMatchObject({ mounts: 0 });
    });

    test('keeps nobody waiting: inspect, ls, another container, removal', async () => {
      const { root, lastBlock } = bench.absentContent('meanwhile', false);
      await engine.background('waits', volume(root), 'exec cat /data/file');
      await until('the gateway is asked for the block', () => bench.asked.has(lastBlock));
      expect(await engine.status(root)).toMatchObject({ mounts: 1 });
      expect(await engine.sh(volume(bench.sampleCid), 'cat /data/note')).toBe('found');
      await engine.ok('volume', 'rm', bench.sampleCid);
    });
  });

  describe('kill -9 of the daemon', () => {
    test('is felt by no reader, and by no call of Docker’s', async () => {
      const contents = Array.from({ length: FILES }, (_, index) => Buffer.alloc(FILE_BYTES, `content ${index} `));
      const root = bench.dag.directory(
        contents.map((bytes, index) => ({ name: `file${index}`, cid: bench.dag.raw(bytes), tsize: bytes.length })),
      );
      const sums = contents.map((bytes, index) => `${createHash('sha256').update(bytes).digest('hex')}  file${index}`);
      bench.delayMs = 30;
      const mounts = [
        '--mount',
        `type=volume,volume-driver=${PLUGIN},source=killed,volume-opt=cid=${root},volume-opt=prefetch=none,dst=/data`,
      ];
      const orders = ['cat', 'tac', 'shuf', 'sort --reverse'];
      const readers = orders.map((order) =>
        engine
          .sh(mounts, `cd /data && ls > /tmp/names && ${order} /tmp/names | xargs -n 1 sha256sum`)
          .then((output) => output.split('\n')),
      );
      const all = Promise.all(readers);
      let running = true;
      const done = all.then(
        () => (running = false),
        () => (running = false),
      );
      await until('all readers run', async () =>
        (await engine.docker('volume', 'inspect', 'killed')).stdout.includes('"mounts": 4'),
      );
      let kills = 0;
      while (running) {
        const daemon = await engine.pluginProcess(PLUGIN, 'daemon').catch(() => undefined);
        if (daemon !== undefined) {
          process.kill(daemon, 'SIGKILL');
          kills++;
        }
        // Waits for the next daemon, and succeeds.
        await engine.ok('volume', 'create', '--driver', PLUGIN, '--opt', `cid=${root}`, `made-${kills}`);
        expect((await engine.status('killed')).options).toMatchObject({ prefetch: 'none' });
        // Daemons that are all killed before a block comes serve nobody, however many there are.
        await until('a block comes', async () => !running || Number((await engine.status('killed')).blocksFetched) > 0);
      }
      await done;
      bench.delayMs = 0;
      expect(kills).toBeGreaterThan(2);
      for (const lines of await all) expect(lines.toSorted()).toEqual(sums.toSorted());
      expect(await engine.status('killed')).toMatchObject({ mounts: 0, lastError: null });
      expect(await engine.docker('run', '--rm', '--network', 'none', ...mounts, IMAGE, 'true')).toMatchObject({
        code: 0,
      });
    });
  });
}
