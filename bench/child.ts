/** Child processes of the benchmarks: bounded, ended by their own id, never through a shell unless the work is one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** No single step of any benchmark takes this long; one that does is stuck. */
const STEP_LIMIT_MS = 15 * 60_000;

/** Runs a program to its end and gives its stdout. Fails with what it said on stderr. */
export async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: STEP_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    complaint = (complaint + chunk).slice(-2000);
  });
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${signal ?? `exit ${code}`}: ${complaint.trim()}`);
  return output;
}

/** Seconds that a program takes from start to end. */
export async function seconds(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<number> {
  const start = process.hrtime.bigint();
  await run(program, args, env);
  return Number(process.hrtime.bigint() - start) / 1e9;
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
