/** The docker command, for the scripts that build, install and remove the managed plugin. DOCKER_HOST is its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The name of the plugin on this machine: what follows `--volume-driver`. */
export const PLUGIN_NAME = 'ipfs';

export interface DockerOptions {
  /** Ends the command; what it began at the engine may go on. */
  readonly signal?: AbortSignal;
  /** Told what it writes to stdout, as it comes. */
  readonly onOutput?: (chunk: Buffer) => void;
}

/** Runs `docker ARGS` and gives its stdout. @throws with what docker said. */
export async function docker(args: readonly string[], { signal, onOutput }: DockerOptions = {}): Promise<string> {
  const child = spawn('docker', args, { stdio: ['ignore', 'pipe', 'pipe'], ...(signal ? { signal } : {}) });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
    onOutput?.(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`docker ${args.slice(0, 2).join(' ')}: ${complaint.trim() || `exit code ${code}`}`);
  return output.trim();
}

/** Why no engine answers; undefined where one does. */
export async function engineProblem(): Promise<string | undefined> {
  try {
    await docker(['version', '--format', '{{.Server.Version}}']);
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'the docker command is not installed' : message;
  }
}

export async function hasPlugin(name: string): Promise<boolean> {
  return docker(['plugin', 'inspect', '--format', '{{.Id}}', name]).then(
    () => true,
    () => false,
  );
}

/** Runs a script that needs an engine: one line and exit code 1 where none answers, or where the script fails. */
export async function runWithEngine(script: () => Promise<void>): Promise<void> {
  const problem = await engineProblem();
  if (problem !== undefined) {
    console.error(`No Docker engine answers (${problem}). Start one, or set DOCKER_HOST to one that runs.`);
    process.exitCode = 1;
    return;
  }
  try {
    await script();
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
