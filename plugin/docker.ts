/** The docker command, for the scripts that build, install and remove the managed plugin. DOCKER_HOST is its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';

/** The name of the plugin on this machine: what follows `--volume-driver`. */
export const PLUGIN_NAME = 'ipfs';

/** Runs `docker ARGS` and gives its stdout. @throws with what docker said. */
export async function docker(args: readonly string[], input?: Readable): Promise<string> {
  const child = spawn('docker', args, { stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
  if (input && child.stdin) input.pipe(child.stdin);
  let output = '';
  let complaint = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    complaint += chunk;
  });
  child.stdin?.on('error', () => undefined);
  const [code] = await Promise.race([
    once(child, 'close'),
    once(child, 'error').then(([error]) => Promise.reject(error)),
  ]);
  if (code !== 0) throw new Error(`docker ${args.slice(0, 2).join(' ')}: ${complaint.trim() || `exit code ${code}`}`);
  return output.trim();
}

/** Why no engine answers; undefined where one does. */
async function engineProblem(): Promise<string | undefined> {
  try {
    await docker(['version', '--format', '{{.Server.Version}}']);
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'the docker command is not installed' : message;
  }
}

/** Ends a script with one line where no engine answers. */
export async function requireEngine(): Promise<void> {
  const problem = await engineProblem();
  if (problem === undefined) return;
  console.error(`No Docker engine answers (${problem}). Start one, or set DOCKER_HOST to one that runs.`);
  process.exit(1);
}
