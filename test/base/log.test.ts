/** The log may fail, or be read by nobody; nobody may fail with it, or wait for it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { Scratch } from '../cli/support/scratch.ts';

const PROGRAM = `
const { createLogger } = await import(process.argv[1]);
const logger = createLogger('info');
for (let line = 0; line < 5000; line++) logger.info({ text: 'x'.repeat(500) }, 'said');
process.stderr.write('goes on');
const waiting = setInterval(() => {
  if (process.stdout.writableLength > 0) return;
  clearInterval(waiting);
  logger.info({}, 'at last');
}, 10);
`;

/** PROGRAM with its log on that descriptor; `said` has what it says on stderr. */
function logTo(descriptor: number) {
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', PROGRAM, new URL('../../src/base/log.ts', import.meta.url).href],
    { stdio: ['ignore', descriptor, 'pipe'], timeout: 30_000, killSignal: 'SIGKILL' },
  );
  const said = once(child.stderr as Readable, 'data').then(([text]) => String(text));
  const code = once(child, 'close').then(([number]) => number as number | null);
  return { said, code };
}

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
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; lost?: number });
  const [noted, last] = lines.slice(-2);
  expect(lines.slice(0, -2).every(({ msg }) => msg === 'said')).toBe(true);
  expect(noted).toMatchObject({ level: 'warn', msg: 'nobody read the log: some of it is lost' });
  expect(noted?.lost).toBe(5000 - (lines.length - 2));
  expect(last?.msg).toBe('at last');
});
