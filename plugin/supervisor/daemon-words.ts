/**
 * What a daemon writes to its stdout, passed on line by line: between two lines others may write theirs.
 *
 * A daemon writes to a pipe, always: it is to end when it is killed, and a process that writes to a file whose disk hangs does
 * not. Where the supervisor's own output is a pipe the daemon has that one; else the supervisor reads it, and writes what came to
 * the file, in its own time.
 */
import type { Readable } from 'node:stream';
import type { LogOutput } from '../../src/base/log-output.ts';

/** A longer one is none of ours, and comes in pieces. */
const MAX_LINE_CHARACTERS = 65_536;

export function passOnLines(from: Readable, to: Pick<LogOutput, 'write'>): void {
  let begun = '';
  from.setEncoding('utf8').on('data', (text: string) => {
    begun += text;
    const lineEnd = begun.lastIndexOf('\n') + 1;
    const end = begun.length - lineEnd > MAX_LINE_CHARACTERS ? begun.length : lineEnd;
    if (end > 0) to.write(begun.slice(0, end));
    begun = begun.slice(end);
  });
  from.on('end', () => {
    if (begun !== '') to.write(`${begun}\n`);
  });
}
