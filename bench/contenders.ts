/**
 * Ways to see one directory tree: ourselves, with and without a journal and over both transports, bindfs, and the disk itself. Each is mounted anew for
 * every cold trial, so that nobody starts with a memory of the last one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { end, run } from './child.ts';
import { VolumeDaemon } from './volume-daemon.ts';

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

/**
 * All who show the tree at `source`: ourselves first, with its blocks in a local store. What Docker uses is the daemon,
 * which keeps a journal of what node numbers mean; `ipfs-volume mount` is the same file system without one.
 */
export async function localContenders(source: string, workDirectory: string): Promise<Contender[]> {
  const at = (name: string) => join(workDirectory, name);
  const stateDirectory = at('state');
  const cid = await addLocally(source, stateDirectory);
  return [
    served(cid, stateDirectory),
    standalone('ipfs-volume mount, no journal', cid, stateDirectory, at('kernel'), 'kernel'),
    standalone('fuse-native under our file system', cid, stateDirectory, at('fuse-native'), 'fuse-native'),
    bindfs(source, at('bindfs')),
    disk(source),
  ];
}

export async function withMount<T>(contender: Contender, work: (mounted: Mounted) => Promise<T>): Promise<T> {
  const mounted = await contender.mount();
  try {
    return await work(mounted);
  } finally {
    await mounted.unmount();
  }
}

/** Adds a tree, as a user would: through a daemon that runs for as long as that takes. Gives its CID. */
async function addLocally(path: string, stateDirectory: string): Promise<string> {
  const daemon = await VolumeDaemon.start({ environment: { IPFS_VOLUME_STATE_DIR: stateDirectory } });
  try {
    const output = await run(process.execPath, [CLI, 'add', path, '--socket', daemon.client.socketPath]);
    return output.trim().split('\n').at(-1) ?? '';
  } finally {
    await daemon.stop();
  }
}

function served(cid: string, stateDirectory: string): Contender {
  return {
    name: 'ipfs-volume',
    async mount() {
      const daemon = await VolumeDaemon.start({ environment: { IPFS_VOLUME_STATE_DIR: stateDirectory } });
      const directory = await daemon.mount('volume', cid);
      return { directory, processId: daemon.processId, unmount: () => daemon.stop() };
    },
  };
}

/** `ipfs-volume mount` of `cid` at `directory`, over one transport. */
function standalone(
  name: string,
  cid: string,
  stateDirectory: string,
  directory: string,
  transport: 'kernel' | 'fuse-native',
): Contender {
  return {
    name,
    async mount() {
      await mkdir(directory, { recursive: true });
      const child = spawn(process.execPath, [CLI, 'mount', cid, directory], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          IPFS_VOLUME_STATE_DIR: stateDirectory,
          IPFS_VOLUME_MOUNT_ROOT: join(stateDirectory, 'mnt'),
          IPFS_VOLUME_SOCKET: join(stateDirectory, 'none.sock'),
          IPFS_VOLUME_KUBO_RPC: '',
          IPFS_VOLUME_GATEWAYS: '',
          IPFS_VOLUME_TRANSPORT: transport,
          IPFS_VOLUME_LOG_LEVEL: 'error',
        },
      });
      return mountedBy(child, directory);
    },
  };
}

function bindfs(source: string, directory: string): Contender {
  return {
    name: 'bindfs',
    mount: async () => {
      await mkdir(directory, { recursive: true });
      return mountedBy(spawn('bindfs', ['-f', '-r', source, directory], { stdio: 'ignore' }), directory);
    },
  };
}

function disk(directory: string): Contender {
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
