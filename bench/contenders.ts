/**
 * Ways to see one directory tree: ourselves over both transports, bindfs, and the disk itself. Each is mounted anew for
 * every cold trial, so that nobody starts with a memory of the last one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { end, run } from './child.ts';

const CLI = new URL('../dist/cli.js', import.meta.url).pathname;

export interface Mounted {
  readonly directory: string;
  /** The process that serves it, where one does. */
  readonly processId: number | undefined;
  unmount(): Promise<void>;
}

export interface Contender {
  readonly name: string;
  mount(): Promise<Mounted>;
}

/** A state directory with content in its local store, and what serves it. */
export class LocalContent {
  readonly #stateDirectory: string;

  constructor(stateDirectory: string) {
    this.#stateDirectory = stateDirectory;
  }

  /** Adds a tree, as a user would: through a daemon that runs for as long as that takes. Gives its CID. */
  async add(path: string): Promise<string> {
    const socket = join(this.#stateDirectory, 'daemon.sock');
    const env = { ...this.#environment('kernel'), IPFS_VOLUME_SOCKET: socket };
    await mkdir(this.#stateDirectory, { recursive: true });
    const daemon = spawn(process.execPath, [CLI, 'serve'], { stdio: 'inherit', env: { ...process.env, ...env } });
    try {
      for (const deadline = Date.now() + 60_000; !existsSync(socket); await pause(10)) {
        if (daemon.exitCode !== null || Date.now() > deadline) throw new Error('ipfs-volume serve did not start');
      }
      const output = await run(process.execPath, [CLI, 'add', path], env);
      return output.trim().split('\n').at(-1) ?? '';
    } finally {
      await end(daemon);
    }
  }

  /** `ipfs-volume mount` of `cid` at `directory`, over one transport. */
  contender(cid: string, directory: string, transport: 'kernel' | 'fuse-native'): Contender {
    return {
      name: `ipfs-volume (${transport})`,
      mount: async () => {
        await mkdir(directory, { recursive: true });
        const child = spawn(process.execPath, [CLI, 'mount', cid, directory], {
          stdio: ['ignore', 'ignore', 'inherit'],
          env: { ...process.env, ...this.#environment(transport) },
        });
        return mountedBy(child, directory);
      },
    };
  }

  #environment(transport: string): NodeJS.ProcessEnv {
    return {
      IPFS_VOLUME_STATE_DIR: this.#stateDirectory,
      IPFS_VOLUME_MOUNT_ROOT: join(this.#stateDirectory, 'mnt'),
      IPFS_VOLUME_SOCKET: join(this.#stateDirectory, 'none.sock'),
      IPFS_VOLUME_KUBO_RPC: '',
      IPFS_VOLUME_GATEWAYS: '',
      IPFS_VOLUME_TRANSPORT: transport,
      IPFS_VOLUME_LOG_LEVEL: 'error',
    };
  }
}

export function bindfs(source: string, directory: string): Contender {
  return {
    name: 'bindfs',
    mount: async () => {
      await mkdir(directory, { recursive: true });
      return mountedBy(spawn('bindfs', ['-f', '-r', source, directory], { stdio: 'ignore' }), directory);
    },
  };
}

export function disk(directory: string): Contender {
  return {
    name: diskType(directory),
    mount: async () => ({ directory, processId: undefined, unmount: async () => undefined }),
  };
}

/** The type of the file system under a directory, by the longest mount point that leads to it. */
function diskType(directory: string): string {
  let best = { length: -1, type: 'disk' };
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, point = '', type = ''] = line.split(' ');
    const inside = directory === point || directory.startsWith(point === '/' ? '/' : `${point}/`);
    if (inside && point.length > best.length) best = { length: point.length, type };
  }
  return best.type;
}

/** Waits until `child` serves `directory`. */
export async function mountedBy(child: ChildProcess, directory: string): Promise<Mounted> {
  // A minute: a mount takes a second, and a machine that needs more has a problem worth reading about.
  for (const deadline = Date.now() + 60_000; !(await isMountPoint(directory)); await pause(10)) {
    if (child.exitCode !== null)
      throw new Error(`the process that was to serve ${directory} ended (${child.exitCode})`);
    if (Date.now() > deadline) throw new Error(`${directory} was not mounted within a minute`);
  }
  return {
    directory,
    processId: child.pid,
    unmount: async () => {
      await run('umount', ['-l', directory]).catch(() => undefined);
      await end(child);
    },
  };
}

async function isMountPoint(directory: string): Promise<boolean> {
  return (await readFile('/proc/self/mounts', 'utf8')).split('\n').some((line) => line.split(' ')[1] === directory);
}
