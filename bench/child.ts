/** Child processes of the benchmarks: bounded, ended by their own id, never through a shell unless the work is one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';

/** No single step of any benchmark takes this long; one that does is stuck. */
const STEP_LIMIT_MS = 4 * 60_000;
/** What a killed process is given. */
const DYING_MS = 5000;

/** Runs a program to its end and gives its stdout. Fails with what it said on stderr. */
export async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const output = await runWithin(STEP_LIMIT_MS, program, args, env);
  if (output === undefined) throw new Error(`${program} ${args.join(' ')}: not done in ${STEP_LIMIT_MS / 60_000} min`);
  return output;
}

/** Seconds that a program takes from start to end. */
export async function seconds(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<number> {
  const start = process.hrtime.bigint();
  await run(program, args, env);
  return Number(process.hrtime.bigint() - start) / 1e9;
}

/** The same, as a measurement; ended, with all that it started, once it has taken longer than the limit. */
export async function secondsWithin(
  limitSeconds: number,
  program: string,
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
): Promise<{ readonly unit: 's'; readonly value: number; readonly beyond: boolean }> {
  const start = process.hrtime.bigint();
  const ended = (await runWithin(limitSeconds * 1000, program, args, env)) !== undefined;
  const value = Number(process.hrtime.bigint() - start) / 1e9;
  return ended ? { unit: 's', value, beyond: false } : { unit: 's', value: limitSeconds, beyond: true };
}

/** stdout; undefined where it was ended at the limit. @throws where it fails by itself */
async function runWithin(
  limitMs: number,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string | undefined> {
  // A process group of its own, so that a shell's children end with it.
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true,
  });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    complaint = (complaint + chunk).slice(-2000);
  });
  const closed = once(child, 'close');
  const limit = new AbortController();
  const late = after(limitMs, 'late' as const, { signal: limit.signal });
  late.catch(() => undefined);
  const outcome = await Promise.race([closed, late]);
  limit.abort();
  if (outcome === 'late') {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    // Who waits in a file system that does not answer ends with its mount, if not now.
    await Promise.race([closed, after(DYING_MS, undefined, { ref: false })]);
    return undefined;
  }
  const [code, signal] = outcome;
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${signal ?? `exit ${code}`}: ${complaint.trim()}`);
  return output;
}

/** Ends a child and waits until it is gone. */
export async function end(child: ChildProcess, limitMs = 10_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  await closed;
  clearTimeout(timer);
}
