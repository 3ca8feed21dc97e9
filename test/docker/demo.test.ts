/** `npm run demo` where no engine answers; with one it is in the engine's suites. The build is there already. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeWith } from '../support/machine.ts';
import { DEMO } from './suites/demo.ts';

/** Against hangs only: it takes three seconds. */
const LIMIT_MS = 60_000;

describeWith(['root', 'fuse'], 'npm run demo, where no engine answers', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'demo-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** Sends `signal` once it has said `after`. */
  async function demo(after?: RegExp, signal?: NodeJS.Signals): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, [DEMO], {
      env: { ...process.env, TMPDIR: directory, DOCKER_HOST: `unix://${directory}/nobody.sock` },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        if (after && signal && !after.test(output) && after.test(output + text)) child.kill(signal);
        output += text;
      });
    }
    const [code] = await once(child, 'close');
    return { code, output };
  }

  /** Nothing of its own stays: no directory, no mount. */
  async function leavesNothing(): Promise<void> {
    expect(await readdir(directory)).toEqual([]);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(directory);
  }

  test('says so, and does the main job through the plugin’s socket and a FUSE mount', async () => {
    const { code, output } = await demo();
    expect(output).toMatch(/no Docker engine answers \(.*nobody\.sock/);
    expect(output).toMatch(/Create and Mount gave \S+\/volumes\/baf/);
    expect(output).toMatch(/ {4}And this one from a program in the volume\.\n/);
    expect(output).toMatch(/note -> docs\/deep\/note\.txt/);
    expect(output).toMatch(/first byte after \d+ ms, all 5 files read and the same as their source after \d+ ms\n/);
    expect(output).toMatch(/cleaned up\n$/);
    expect(code).toBe(0);
    await leavesNothing();
  });

  test.each([
    ['SIGINT', /so the same/],
    ['SIGTERM', /listens on/],
    ['SIGINT', /Create and Mount gave/],
  ] as const)('interrupted by %s after "%s", it cleans up', async (signal, after) => {
    const { code, output } = await demo(after, signal);
    expect(output).toMatch(/interrupted; cleaning up\n/);
    expect(output).toMatch(/cleaned up\n$/);
    expect(code).toBe(1);
    await leavesNothing();
  });
});
