/** The log may fail; nobody may fail with it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';

const PROGRAM = `
const { createLogger } = await import(process.argv[1]);
const logger = createLogger('info');
for (let line = 0; line < 5000; line++) logger.info({ text: 'x'.repeat(500) }, 'said');
process.stderr.write('goes on');
`;

test('a disk that is full under the log ends nothing', async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', PROGRAM, new URL('../../src/base/log.ts', import.meta.url).href],
    { stdio: ['ignore', full, 'pipe'] },
  );
  closeSync(full);
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = await once(child, 'close');
  expect({ said, code }).toEqual({ said: 'goes on', code: 0 });
});
