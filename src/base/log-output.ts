/**
 * Where the lines of the log go: to stdout, at once, so that the last words before a crash are there; and without anybody
 * waiting for whoever reads a pipe.
 *
 * A pipe that nobody reads takes 64 KiB and then stops whoever writes to it, for as long as the reader is away: an engine that
 * is restarted with live-restore leaves its plugins alone with such a pipe, and so does a journal that hangs. So to a pipe or
 * a socket only what it takes now is written in the same turn; the rest waits in memory, up to a bound, and what comes beyond
 * that is counted, and said once there is room again. Of a file whose disk is full as much waits, and the rest is lost; one whose disk
 * hangs holds up whoever writes a line.
 */
import { fstatSync } from 'node:fs';
import { destination } from 'pino';

/** What waits for room; what comes beyond is lost. */
const MAX_UNWRITTEN_BYTES = 1024 * 1024;

export interface LogOutput {
  /** One or more whole lines. Never throws; waits for the disk of a file alone. */
  write(lines: string): void;
}

export function logOutput(): LogOutput {
  return isPipe(1) ? new PipeOutput(process.stdout) : fileOutput();
}

/** A stream that writes what it can at once, and never closes: as Node's own for stdout. */
type PipeStream = Pick<NodeJS.WriteStream, 'write' | 'on' | 'removeAllListeners' | 'writableLength'>;

class PipeOutput implements LogOutput {
  readonly #stream: PipeStream;
  #lost = 0;

  constructor(stream: PipeStream) {
    this.#stream = stream;
    // Whoever read it has gone; another may come. (A command whose output nobody reads any more ends by that.)
    stream.removeAllListeners('error');
    stream.on('error', () => undefined);
  }

  write(lines: string): void {
    if (this.#stream.writableLength > MAX_UNWRITTEN_BYTES) {
      this.#lost++;
      return;
    }
    if (this.#lost > 0) {
      const time = new Date().toISOString();
      const said = { level: 'warn', time, lost: this.#lost, msg: 'nobody read the log: some of it is lost' };
      this.#lost = 0;
      this.#stream.write(`${JSON.stringify(said)}\n`);
    }
    this.#stream.write(lines);
  }
}

function fileOutput(): LogOutput {
  const output = destination({ fd: 1, sync: true, maxLength: MAX_UNWRITTEN_BYTES });
  // Nobody may stop working because of it.
  output.on('error', () => undefined);
  return { write: (lines) => void output.write(lines) };
}

function isPipe(descriptor: number): boolean {
  try {
    const stat = fstatSync(descriptor);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    // It is closed.
    return false;
  }
}
