/** The logging program as a child, and what it logged. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { expect } from 'vitest';

const PROGRAM = new URL('logging-program.ts', import.meta.url).pathname;
/** Of what it logs before it goes on. */
const LINES = 5002;

/** The program with its log on that descriptor; `said` has what it says on stderr. */
export function logTo(descriptor: number, end: 'waits' | 'exits' | 'crashes' = 'waits') {
  const child = spawn(process.execPath, [PROGRAM, end], {
    stdio: ['ignore', descriptor, 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  const said = once(child.stderr as Readable, 'data').then(([text]) => String(text));
  const code = once(child, 'close').then(([number]) => number as number | null);
  return { said, code };
}

export interface LoggedLine {
  readonly msg: string;
  readonly line?: number;
  readonly lost?: number;
  readonly level: string;
}

export function linesOf(text: string): LoggedLine[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LoggedLine);
}

/** Some of them in their order, a word of how many were lost, and the last one. */
export function expectLossesSaid(text: string): void {
  const lines = linesOf(text);
  const [noted, last] = lines.slice(-2);
  const kept = lines.slice(0, -2);
  expect(kept.map(({ line }) => line)).toEqual(kept.map((_, index) => index));
  expect(noted).toMatchObject({ level: 'warn', msg: 'nobody took the log: some of it is lost' });
  expect(noted?.lost).toBe(LINES - kept.length);
  expect(last?.msg).toBe('at last');
}
