/** The shipped command line (`dist/cli.js`) as users run it, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const CLI = fileURLToPath(new URL('../../../../dist/cli.js', import.meta.url));
/** Against hangs: `add` of 4 GiB on a machine that is busy. */
const COMMAND_LIMIT_MS = 180_000;

interface CommandEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Variables without their prefix: `{ SOCKET: '…' }`. */
export type Settings = Readonly<Record<string, string>>;

/** Runs one command to its end. Nothing of this process's environment but the PATH goes with it. */
export async function ipfsVolume(settings: Settings, ...args: readonly string[]): Promise<CommandEnd> {
  return startIpfsVolume(settings, ...args).end;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  /** The first line on stdout; '' where it ends without one. */
  readonly firstLine: Promise<string>;
  readonly end: Promise<CommandEnd>;
}

export function startIpfsVolume(settings: Settings, ...args: readonly string[]): RunningCommand {
  const variables = Object.entries(settings).map(([name, value]) => [`IPFS_VOLUME_${name}`, value]);
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...Object.fromEntries(variables) },
    timeout: COMMAND_LIMIT_MS,
  });
  let stdout = '';
  let stderr = '';
  const { promise: firstLine, resolve: haveFirstLine } = Promise.withResolvers<string>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    const [line, ...more] = stdout.split('\n');
    if (more.length > 0) haveFirstLine(line ?? '');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const end = once(child, 'close').then(([code]) => {
    haveFirstLine('');
    return { code: code as number | null, stdout, stderr };
  });
  return { child, firstLine, end };
}

/** Adds `path` to the daemon on that socket and gives the root's CID. */
export async function addPath(socketPath: string, path: string, ...flags: readonly string[]): Promise<string> {
  return lineOf(await ipfsVolume({ SOCKET: socketPath }, 'add', ...flags, path));
}

/** Imports a CAR and gives its roots. */
export async function importCar(socketPath: string, file: string): Promise<string[]> {
  return lineOf(await ipfsVolume({ SOCKET: socketPath }, 'import', file)).split('\n');
}

function lineOf({ code, stdout, stderr }: CommandEnd): string {
  if (code !== 0) throw new Error(`ipfs-volume ended with ${code}: ${stderr}`);
  return stdout.trim();
}
