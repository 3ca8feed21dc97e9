/**
 * `ipfs-volume serve` as a process of its own, over a directory of the test's: socket, mount root and state in it, no
 * source but those that the test names.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { DaemonClient } from '../../src/cli/daemon-client.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
/** A bound against hangs. */
const DEADLINE_MS = 30_000;

type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };

interface ServedDaemon extends AsyncDisposable {
  readonly client: DaemonClient;
  readonly socketPath: string;
  readonly mountRoot: string;
  /** The supervisor. */
  readonly process: ChildProcess;
  /** What it and its daemons logged so far. */
  readonly log: readonly LogLine[];
  /** The first line logged at or behind `from` with that message; waits for it. */
  logged(message: string, from?: number): Promise<LogLine>;
  /** SIGTERM, and resolves at the end of the process. Idempotent. */
  stop(): Promise<void>;
}

/** Resolves once a daemon answers. `environment` adds to a configuration without sources. */
export async function startDaemon(
  directory: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<ServedDaemon> {
  const socketPath = join(directory, 'ipfs.sock');
  const mountRoot = join(directory, 'mnt');
  const child = spawn(process.execPath, [CLI, 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      IPFS_VOLUME_SOCKET: socketPath,
      IPFS_VOLUME_MOUNT_ROOT: mountRoot,
      IPFS_VOLUME_STATE_DIR: join(directory, 'state'),
      IPFS_VOLUME_KUBO_RPC: '',
      IPFS_VOLUME_GATEWAYS: '',
      ...environment,
    },
  });
  const log: LogLine[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.push(line.startsWith('{') ? JSON.parse(line) : { msg: line });
  });
  const ended = once(child, 'exit');
  const client = new DaemonClient(socketPath);
  const stop = async (): Promise<void> => {
    await client[Symbol.asyncDispose]();
    child.kill('SIGTERM');
    await ended;
  };
  try {
    // A socket is there a moment before it listens.
    await until(() => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}`);
      return client.status().then(
        () => true,
        () => false,
      );
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    client,
    socketPath,
    mountRoot,
    process: child,
    log,
    async logged(message, from = 0) {
      const find = () => log.slice(from).find(({ msg }) => msg === message);
      await until(() => find() !== undefined);
      return find() as LogLine;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Polls until `holds`; fails after a time that only a hang takes. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  while (!(await holds())) await delay(20, undefined, { signal: deadline });
}
