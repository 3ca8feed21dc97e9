/**
 * Where the lines of the log go: to stdout, at once, and without anybody waiting for whoever reads a pipe, or for the disk of a
 * file.
 *
 * A pipe that nobody reads takes 64 KiB and then stops whoever writes to it, for as long as the reader is away: an engine that
 * is restarted with live-restore leaves its plugins alone with such a pipe, and so does a journal that hangs. A file whose disk
 * hangs stops him at once, in the kernel, where he may not even be killed. So to a pipe or a socket only what it takes now is
 * written in the same turn, and a file is written to by another thread (`file-writer.ts`); the rest waits in memory, up to a
 * bound, and what comes beyond that is counted, and said once there is room again.
 */
import { fstatSync } from 'node:fs';
import { FileWriter } from './file-writer.ts';

/** What waits for room; what comes beyond is lost. */
const MAX_UNWRITTEN_BYTES = 1024 * 1024;

export interface LogOutput {
  /** One or more whole lines. Never throws, and waits for nothing. */
  write(lines: string): void;
  /** Resolves once all of it is written, or cannot be; never, where nobody reads it or its disk hangs. */
  written(): Promise<void>;
  /** True where another process may write to the same descriptor and be held up by nothing either. */
  readonly isPipe: boolean;
}

/** What takes bytes as they come, and holds what it cannot write yet. */
interface Writer {
  readonly writableLength: number;
  write(text: string, onWritten?: () => void): unknown;
}

/** Of stdout, or stderr. */
export function logOutput(descriptor: 1 | 2): LogOutput {
  if (!isPipe(descriptor)) return new BoundedOutput(new FileWriter(descriptor), false);
  // A stream that writes what it can at once, and never closes.
  const stream = descriptor === 1 ? process.stdout : process.stderr;
  // Whoever read it has gone; another may come. (A command whose output nobody reads any more ends by that.)
  stream.removeAllListeners('error');
  stream.on('error', () => undefined);
  return new BoundedOutput(stream, true);
}

class BoundedOutput implements LogOutput {
  readonly isPipe: boolean;
  readonly #to: Writer;
  /** Lines. */
  #lost = 0;

  constructor(to: Writer, isPipe: boolean) {
    this.#to = to;
    this.isPipe = isPipe;
  }

  write(lines: string): void {
    if (this.#to.writableLength > MAX_UNWRITTEN_BYTES) {
      this.#lost += lines.split('\n').length - 1;
      return;
    }
    if (this.#lost > 0) {
      const time = new Date().toISOString();
      const said = { level: 'warn', time, lost: this.#lost, msg: 'nobody took the log: some of it is lost' };
      this.#lost = 0;
      this.#to.write(`${JSON.stringify(said)}\n`);
    }
    this.#to.write(lines);
  }

  written(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#to.write('', () => resolve());
    return promise;
  }
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
