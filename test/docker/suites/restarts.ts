/** The engine is restarted, in every way: what ran, what was made and what was counted. */
import { describe, expect, test } from 'vitest';
import { type Bench, PLUGIN, volume } from '../support/bench.ts';

export function restarts(bench: Bench): void {
  const { engine } = bench;
  const kill = async (container: string) => {
    const pid = Number(await engine.ok('inspect', '--format', '{{.State.Pid}}', container));
    return () => process.kill(pid, 'SIGKILL');
  };
  /** Reads what was not read before, so that no cache answers. */
  const greet = (container: string) => engine.ok('exec', container, '/data/bin/greet');
  const greeting = 'hello from /data/bin/greet';

  describe('a restart of the engine', () => {
    test.each(['SIGTERM', 'SIGKILL'] as const)(
      'without live-restore, by %s: volumes stay, counts start again',
      async (signal) => {
        const cid = bench.sampleCid;
        await engine.ok('volume', 'create', '--driver', PLUGIN, '--opt', `cid=${cid}`, '--opt', 'gid=8', 'made');
        await engine.ok('volume', 'create', '--driver', PLUGIN, cid);
        await engine.background('once', volume('made'));
        await engine.background('always', ['--restart', 'always', ...volume(cid)]);
        await engine.stop(signal);
        await engine.start();
        expect((await engine.ok('volume', 'ls', '--quiet')).split('\n').sort()).toEqual([cid, 'made'].sort());
        expect(await engine.status('made')).toMatchObject({ mounts: 0, options: { cid, gid: '8' } });
        expect(await greet('always')).toBe(greeting);
        expect((await engine.status(cid)).mounts).toBe(1);
        await engine.ok('start', 'once');
        expect(await engine.ok('exec', 'once', 'stat', '-c', '%g', '/data/note')).toBe('8');
        await engine.ok('rm', '--force', 'once', 'always');
        expect(await engine.status('made')).toMatchObject({ mounts: 0 });
        expect(await engine.status(cid)).toMatchObject({ mounts: 0 });
      },
    );

    test.each(['SIGTERM', 'SIGKILL'] as const)(
      'with live-restore, by %s: what runs reads on, and counts stay right',
      async (signal) => {
        const cid = bench.sampleCid;
        await engine.stop();
        await engine.start({ liveRestore: true });
        try {
          await engine.background('lives', volume(cid));
          await engine.background('dies', volume(cid));
          await engine.ok('volume', 'create', '--driver', PLUGIN, '--opt', `cid=${cid}`, 'leaks');
          await engine.background('leaves', volume('leaks'));
          const ends = [await kill('dies'), await kill('leaves')];
          const daemon = await engine.pluginProcess(PLUGIN, 'daemon');
          await engine.stop(signal);
          for (const end of ends) end();
          await engine.start({ liveRestore: true });
          // The plugin lived on too.
          expect(await engine.pluginProcess(PLUGIN, 'daemon')).toBe(daemon);
          expect(await greet('lives')).toBe(greeting);
          expect(await engine.ok('ps', '--format', '{{.Names}}')).toBe('lives');
          // Nobody unmounted for the two that ended while the engine was down.
          expect((await engine.status(cid)).mounts).toBe(2);
          expect((await engine.status('leaks')).mounts).toBe(1);
          // One that runs keeps its volume; one that nobody has goes, whatever was counted.
          await engine.ok('rm', 'dies', 'leaves');
          expect(await engine.refusal('volume', 'rm', '--force', cid)).toMatch(/in use/);
          expect(await greet('lives')).toBe(greeting);
          await engine.ok('volume', 'rm', 'leaks');
          await engine.ok('rm', '--force', 'lives');
          await engine.ok('volume', 'rm', cid);
          expect(await engine.ok('volume', 'ls', '--quiet')).toBe('');
          expect(await engine.sh(volume(cid), '/data/bin/greet')).toBe(greeting);
        } finally {
          await engine.stop();
          await engine.start();
        }
      },
    );
  });
}
