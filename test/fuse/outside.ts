/**
 * Touches a mount from other processes, as everybody must: the process that serves it would wait for itself.
 *
 * Every wait here is bounded, by a limit far above what any of it takes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';

/** Against hangs only: what takes a second may take twenty where the machine does other things too. */
export const LIMIT_MS = 60_000;

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A program that runs; `outcome` when it has ended. */
export interface Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
}

export function start(program: string, ...args: string[]): Running {
  return startFor(LIMIT_MS, program, ...args);
}

/** As `start`, for what takes long: it is killed after `limitMs`. */
export function startFor(limitMs: number, program: string, ...args: string[]): Running {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const outcome = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout: Buffer.concat(stdout),
    stderr,
  }));
  return { child, outcome };
}

export function run(program: string, ...args: string[]): Promise<Outcome> {
  return start(program, ...args).outcome;
}

/** stdout of a shell command that must succeed; `$1` and on are `args`. */
export async function shell(script: string, ...args: string[]): Promise<string> {
  const outcome = await run('sh', '-c', script, 'sh', ...args);
  if (outcome.code !== 0) throw new Error(`${script}: ${outcome.code ?? outcome.signal}: ${outcome.stderr}`);
  return outcome.stdout.toString('utf8');
}

/** stdout of a Python program that must succeed; its `sys.argv[1:]` are `args`. */
export async function python(script: string, ...args: string[]): Promise<string> {
  const outcome = await run('python3', '-c', `import os, sys, errno, mmap, signal, stat\n${script}`, ...args);
  if (outcome.code !== 0) throw new Error(`python: ${outcome.code ?? outcome.signal}: ${outcome.stderr}`);
  return outcome.stdout.toString('utf8').trimEnd();
}

/** The name of the errno with which `expression` (over `p`, the path) fails, or what it gives. */
export function errnoOf(expression: string, path: string): Promise<string> {
  return python(
    `p = sys.argv[1]\ntry:\n  print(${expression})\nexcept OSError as e:\n  print(errno.errorcode[e.errno])`,
    path,
  );
}

/** An empty directory of its own, to mount on. */
export function emptyDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'fuse-test-'));
}

/** Removes what `emptyDirectory` made; nothing may be mounted on it. */
export function removeDirectory(directory: string): Promise<void> {
  return rmdir(directory);
}

/** Waits until `condition` holds, with `what` in the error if it never does. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await after(5);
  }
}
