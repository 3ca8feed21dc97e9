/** Readers that wait for what does not come. */
import { describe, expect, test } from 'vitest';
import { until } from '../../support/daemon.ts';
import { type Bench, volume } from '../support/bench.ts';

/** The read time-out is 60 s, and the engine's own patience with a process that does not die 10 s. */
const WITHIN_MS = 30_000;

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
}
