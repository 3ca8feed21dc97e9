/** The log may fail, or be read by nobody; nobody may fail with it, or wait for it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Scratch } from '../cli/support/scratch.ts';
import { expectLossesSaid, linesOf, logTo } from '../support/logging.ts';

test('a disk that is full under the log ends nothing', async () => {
  const full = openSync('/dev/full', 'w');
  const { said, code } = logTo(full);
  closeSync(full);
  expect(await said).toBe('goes on');
  expect(await code).toBe(0);
});

test('a pipe that nobody reads stops nobody; once it is read again the log says how much was lost', async () => {
  using scratch = new Scratch();
  const path = scratch.at('pipe');
  execFileSync('mkfifo', [path]);
  // As the engine leaves it while it is away: open, and not read.
  const pipe = openSync(path, 'r+');
  const { said, code } = logTo(pipe);
  expect(await said).toBe('goes on');
  const reader = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  reader.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  await once(reader.stdout, 'data');
  closeSync(pipe);
  await once(reader, 'close');
  expect(await code).toBe(0);
  expectLossesSaid(text);
});

test.each(['exits', 'crashes'] as const)(
  'a file has all that was logged, up to the bound, of a process that %s',
  async (end) => {
    using scratch = new Scratch();
    const path = scratch.at('log');
    const file = openSync(path, 'a');
    const { said, code } = logTo(file, end);
    closeSync(file);
    expect(await said).toContain('goes on');
    expect(await code).toBe(end === 'exits' ? 0 : 1);
    const lines = linesOf(readFileSync(path, 'utf8'));
    expect(lines.map(({ line }) => line)).toEqual(lines.map((_, index) => index));
    // No turn of the process had an end in which to hear that there was room again.
    expect(lines.length).toBeGreaterThan(1_000_000 / 600);
  },
);
