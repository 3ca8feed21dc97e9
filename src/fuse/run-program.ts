/**
 * Runs mount(8) and umount(8): the two system calls that Node does not have.
 *
 * Always asynchronous: what these programs look at may be the very mount that this process serves.
 */
import { spawn } from 'node:child_process';

/** Far above what either takes (milliseconds); a hung one must not hang a start or a stop for good. */
const PROGRAM_LIMIT_MS = 30_000;

export interface ProgramEnd {
  /** True for exit code 0. */
  readonly ok: boolean;
  /** What it said on stderr, in one line; why it could not be run, where that is the case. */
  readonly said: string;
}

/** Runs `program` from PATH, with `descriptor` as its descriptor 3 where given. Never rejects. */
export function runProgram(program: string, args: readonly string[], descriptor?: number): Promise<ProgramEnd> {
  const { promise, resolve } = Promise.withResolvers<ProgramEnd>();
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe', ...(descriptor === undefined ? [] : [descriptor])],
    // Messages are matched by people and by nobody's locale.
    env: { ...process.env, LC_ALL: 'C' },
    timeout: PROGRAM_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.once('error', (error) => resolve({ ok: false, said: `${program} cannot be run: ${error.message}` }));
  child.once('close', (code, signal) => {
    const line = said.trim().replace(/\s*\n\s*/g, '; ');
    resolve({ ok: code === 0, said: line || `${program} ended with ${signal ?? `exit code ${code}`}` });
  });
  return promise;
}

/** Detaches what is mounted on `directory` at once; users that are inside keep it until they leave. */
export function detach(directory: string): Promise<ProgramEnd> {
  // Not canonicalised: looking at the path of a dead mount fails before the unmount could help.
  return runProgram('umount', ['--lazy', '--no-canonicalize', directory]);
}
