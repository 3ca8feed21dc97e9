/**
 * Logs 5,000 lines in one turn, and two more at once, as what a daemon wrote is passed on; says "goes on" on stderr, and does what its
 * argument says: `node logging-program.ts END`.
 *
 *   waits      until all of it is written or refused, logs one line more, and ends when there is nothing left to do
 *   exits      at once
 *   crashes    at once, by an exception that nobody catches
 */
import { writeSync } from 'node:fs';
import { createLogger } from '../../src/base/log.ts';
import { logOutput } from '../../src/base/log-output.ts';

const [end] = process.argv.slice(2);
const output = logOutput(1);
const logger = createLogger('info', output);
for (let line = 0; line < 5000; line++) logger.info({ line, text: 'x'.repeat(500) }, 'said');
output.write('{"msg":"passed on"}\n'.repeat(2));
writeSync(2, 'goes on');
if (end === 'exits') process.exit(0);
if (end === 'crashes') throw new Error('as any defect');
await output.written();
logger.info({}, 'at last');
