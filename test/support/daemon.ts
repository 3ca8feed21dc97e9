/**
 * The plugin's process as it is shipped (`dist/cli.js serve`: the supervisor and its daemon), with a socket, a mount root
 * and a state directory of its own, for tests that fault it from outside.
 *
 *   await using daemon = await startDaemon({ gateways: [gateway.url] });
 *   const mountpoint = await daemon.mount('data', root);        // Create and Mount, as Docker calls them
 *   … touch `mountpoint` from other processes (test/fuse/outside.ts), never from this one …
 *
 * Disposing stops it by SIGTERM and throws where anything is left: a mount, a process, a socket. Needs `root` and `fuse`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { Client } from 'undici';
import { DaemonClient } from '../../src/cli/daemon-client.ts';
import { detach } from '../../src/fuse/run-program.ts';
import type { DaemonStatus, VolumeStatus } from '../../src/volumes/control-api.ts';
import { PrometheusText } from './prometheus.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
/** Against hangs only: a start takes half a second, a stop is promised within five, and the machine may do other things too. */
const LIMIT_MS = 60_000;
/** Of the log, what an error shows. */
const LINES_SHOWN = 20;

export interface DaemonOptions {
  readonly gateways?: readonly string[];
  /** Empty, which turns it off, where undefined. */
  readonly kuboRpc?: string | undefined;
  /** More of the configuration, without the prefix: `{ READ_TIMEOUT: '2s' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of `serve`, such as `['--cache-size', '1MiB']`. */
  readonly flags?: readonly string[];
  /** Besides the configuration's own: proxies. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What starts it, such as `['setpriv', …]`; nothing where undefined. */
  readonly launcher?: readonly string[];
  /** Of a daemon that ran before, to start on what it left; a new one, removed at the end, where undefined. */
  readonly directory?: string | undefined;
  /** Where it listens, if not in its directory. */
  readonly socketPath?: string | undefined;
  /** Of the whole state or a part of it elsewhere, such as a small disk. */
  readonly stateDirectory?: string | undefined;
}

/** What a process holds; sizes in bytes. */
export interface Footprint {
  readonly descriptors: number;
  readonly threads: number;
  readonly residentBytes: number;
  readonly peakBytes: number;
}

/** A `launcher`: the daemon's heap ends at 256 MiB, where it has 2 GiB, so that running out of it takes a second and not twenty. */
export const SMALL_HEAP = ['bash', '-c', 'exec "$0" --max-old-space-size=256 "$@"'];

export class TestDaemon implements AsyncDisposable {
  /** Holds the socket, the mount root and, where not elsewhere, the state. */
  readonly directory: string;
  readonly socketPath: string;
  readonly mountRoot: string;
  readonly stateDirectory: string;
  /** What it logged, a line each. */
  readonly log: string[] = [];
  readonly #supervisor: ChildProcess;
  readonly #ownsDirectory: boolean;

  /** Use `startDaemon`. */
  constructor(directory: string, ownsDirectory: boolean, options: DaemonOptions) {
    this.directory = directory;
    this.#ownsDirectory = ownsDirectory;
    this.socketPath = options.socketPath ?? join(directory, 'ipfs.sock');
    this.mountRoot = join(directory, 'mnt');
    this.stateDirectory = options.stateDirectory ?? join(directory, 'state');
    const settings = {
      SOCKET: this.socketPath,
      MOUNT_ROOT: this.mountRoot,
      STATE_DIR: this.stateDirectory,
      KUBO_RPC: options.kuboRpc ?? '',
      GATEWAYS: options.gateways?.join(',') ?? '',
      ...options.settings,
    };
    const variables = Object.entries(settings).map(([name, value]) => [`IPFS_VOLUME_${name}`, value]);
    const command = [...(options.launcher ?? []), process.execPath, CLI, 'serve', ...(options.flags ?? [])];
    const [program = '', ...args] = command;
    this.#supervisor = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ...options.environment, ...Object.fromEntries(variables) },
    });
    for (const output of [this.#supervisor.stdout, this.#supervisor.stderr]) {
      let rest = '';
      output?.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        this.log.push(...lines);
      });
    }
  }

  /** The supervisor's. */
  get pid(): number {
    return this.#supervisor.pid ?? -1;
  }

  /** The daemon's, which is the supervisor's only lasting child; changes where it was killed or replaced. */
  get daemonPid(): number {
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim().split(' ');
    const daemon = children.find((pid) => commandLine(pid).includes('daemon'));
    if (daemon === undefined) throw new Error('the supervisor has no daemon at this moment');
    return Number(daemon);
  }

  /** A client of its API. The caller's to dispose; calls on one client wait for each other. */
  client(): DaemonClient {
    return new DaemonClient(this.socketPath);
  }

  /** One call of Docker's, on a connection of its own: `call('Get', { Name })`. */
  async call<T = object>(verb: string, body: object, signal?: AbortSignal): Promise<T> {
    await using client = this.client();
    return await client.volumeDriver<T>(verb, body, signal ? { signal } : {});
  }

  async create(name: string, root: CID | string, options: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.call('Create', { Name: name, Opts: { cid: String(root), ...options } });
  }

  /** Create and Mount; gives the mountpoint. */
  async mount(name: string, root: CID | string, options: Readonly<Record<string, string>> = {}): Promise<string> {
    await this.create(name, root, options);
    return (await this.call<{ Mountpoint: string }>('Mount', { Name: name, ID: name })).Mountpoint;
  }

  /** Unmount and Remove, of what `mount` made. */
  async remove(name: string): Promise<void> {
    await this.call('Unmount', { Name: name, ID: name });
    await this.call('Remove', { Name: name });
  }

  /** `Status` of Docker's Get. */
  async status(name: string): Promise<VolumeStatus> {
    return (await this.call<{ Volume: { Status: VolumeStatus } }>('Get', { Name: name })).Volume.Status;
  }

  /** Of the whole daemon. */
  async daemonStatus(): Promise<DaemonStatus> {
    await using client = this.client();
    return await client.status();
  }

  /** What Prometheus would see at this moment. */
  async metrics(): Promise<PrometheusText> {
    const client = new Client('http://ipfs-volume', { connect: { socketPath: this.socketPath } });
    try {
      const { body } = await client.request({ method: 'GET', path: '/metrics' });
      return new PrometheusText(await body.text());
    } finally {
      await client.close();
    }
  }

  /** The daemon's, or another process's. */
  footprint(pid = this.daemonPid): Footprint {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    return {
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      threads: field('Threads'),
      residentBytes: field('VmRSS') * 1024,
      peakBytes: field('VmHWM') * 1024,
    };
  }

  /** SIGTERM, and the exit code. Throws where it does not end, or leaves anything behind. Idempotent. */
  async stop(): Promise<number | null> {
    const supervisor = this.#supervisor;
    if (supervisor.exitCode === null && supervisor.signalCode === null) {
      const ended = once(supervisor, 'close', { signal: AbortSignal.timeout(LIMIT_MS) });
      supervisor.kill('SIGTERM');
      await ended.catch(() => {
        throw new Error(`the daemon did not stop within ${LIMIT_MS / 1000} s${this.#lastWords()}`);
      });
    }
    const left = [...leftMounts(this.directory), ...leftProcesses(this.stateDirectory)];
    if (existsSync(this.socketPath)) left.push(`the socket ${this.socketPath}`);
    if (left.length > 0) throw new Error(`the daemon left behind: ${left.join(', ')}${this.#lastWords()}`);
    return supervisor.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } finally {
      this.#supervisor.kill('SIGKILL');
      await detach(this.mountRoot);
      if (this.#ownsDirectory) await rm(this.directory, { recursive: true, force: true });
    }
  }

  /** Resolves once it answers on its socket. Throws, with what it said, where it ended instead. */
  async ready(): Promise<void> {
    await until('the daemon answers', async () => {
      const { exitCode, signalCode } = this.#supervisor;
      if (exitCode !== null || signalCode !== null) {
        throw new Error(`the daemon ended at its start (${signalCode ?? exitCode})${this.#lastWords()}`);
      }
      // The socket is there a moment before it listens; then the call waits for the daemon itself.
      return this.call('List', {}, AbortSignal.timeout(LIMIT_MS)).then(
        () => true,
        () => false,
      );
    });
  }

  #lastWords(): string {
    return `\n${this.log.slice(-LINES_SHOWN).join('\n')}`;
  }
}

/** As `startDaemon`, in a directory that is made and its caller's to remove, and not waited for. */
export function launchDaemon(options: DaemonOptions & { readonly directory: string }): TestDaemon {
  mkdirSync(options.directory, { recursive: true });
  return new TestDaemon(options.directory, false, options);
}

/** Resolves once it answers. The caller's to dispose. */
export async function startDaemon(options: DaemonOptions = {}): Promise<TestDaemon> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'daemon-')));
  const daemon = new TestDaemon(directory, options.directory === undefined, options);
  try {
    await daemon.ready();
    return daemon;
  } catch (error) {
    await daemon[Symbol.asyncDispose]().catch(() => undefined);
    throw error;
  }
}

/** Polls until `condition` holds, for `limitMs` at the most; `what` is for the error if it never does. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = LIMIT_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`);
    await after(20);
  }
}

function leftMounts(directory: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? []);
  return points.filter((point) => point.startsWith(`${directory}/mnt`)).map((point) => `the mount ${point}`);
}

/** Supervisors and daemons of that state directory. */
function leftProcesses(stateDirectory: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandLine(name).includes(CLI));
  return pids
    .filter((pid) => environment(pid).includes(`IPFS_VOLUME_STATE_DIR=${stateDirectory}`))
    .map((pid) => `the process ${pid} (${commandLine(pid).join(' ')})`);
}

function commandLine(pid: string): string[] {
  return nulSeparated(`/proc/${pid}/cmdline`);
}

function environment(pid: string): string[] {
  return nulSeparated(`/proc/${pid}/environ`);
}

/** Empty where the process is gone. */
function nulSeparated(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\0');
  } catch {
    return [];
  }
}
