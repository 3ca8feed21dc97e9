/** `npm run demo` on an engine. */
import { describe, expect, test } from 'vitest';
import { type Bench, PLUGIN } from '../support/bench.ts';
import { IMAGE } from '../support/engine.ts';

export const DEMO = new URL('../../../plugin/scripts/demo.ts', import.meta.url).pathname;

export function demo(bench: Bench): void {
  const { engine } = bench;

  describe('npm run demo', () => {
    test('installs the plugin, lets a container read by CID, and leaves the engine as it was', async () => {
      const plugins = () => engine.ok('plugin', 'ls', '--format', '{{.Name}}');
      expect(await plugins()).toBe(`${PLUGIN}:latest`);
      const { code, stdout, stderr } = await engine.run(process.execPath, [DEMO]);
      expect(stderr).toBe('');
      expect(stdout).toMatch(/a Docker engine answers: version \S+ on linux\/\w+\n/);
      expect(stdout).toMatch(/docker run --rm --network none -v baf\w+:\/data --volume-driver ipfs/);
      expect(stdout).toMatch(/ {4}And this one from a program in the volume\.\n/);
      expect(stdout).toMatch(/first byte after \d+ ms, all 5 files read and the same as their source after \d+ ms\n/);
      expect(stdout).toMatch(/cleaned up\n$/);
      expect(code).toBe(0);
      expect(await plugins()).toBe(`${PLUGIN}:latest`);
      expect(await engine.ok('volume', 'ls', '--quiet')).toBe('');
      expect(await engine.ok('ps', '--all', '--quiet')).toBe('');
      // What was there before.
      expect((await engine.docker('image', 'inspect', IMAGE)).code).toBe(0);
    });
  });
}
