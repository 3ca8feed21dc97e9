/**
 * `ipfs-volume serve` with a state directory of its own, as Docker would find it: volumes are created and mounted by
 * Docker's protocol on its socket. New for each cold trial, so that nothing is remembered from the last one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DaemonClient } from '../src/cli/daemon-client.ts';
import type { VolumeStatus } from '../src/volumes/control-api.ts';
import { end, run } from './child.ts';

const CLI = new URL('../dist/cli.js', import.meta.url).pathname;

export interface DaemonSource {
  readonly gatewayUrl?: string;
  readonly kuboRpc?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

export class VolumeDaemon {
  readonly client: DaemonClient;
  readonly processId: number;
  readonly #directory: string;
  readonly #child: ChildProcess;

  private constructor(directory: string, child: ChildProcess, client: DaemonClient) {
    this.#directory = directory;
    this.#child = child;
    this.client = client;
    this.processId = child.pid ?? 0;
  }

  static async start({ gatewayUrl = '', kuboRpc = '', environment = {} }: DaemonSource): Promise<VolumeDaemon> {
    const directory = await mkdtemp(join(tmpdir(), 'ipfs-volume-bench-daemon-'));
    const socket = join(directory, 'ipfs.sock');
    const child = spawn(process.execPath, [CLI, 'serve'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        IPFS_VOLUME_SOCKET: socket,
        IPFS_VOLUME_MOUNT_ROOT: join(directory, 'mnt'),
        IPFS_VOLUME_STATE_DIR: join(directory, 'state'),
        IPFS_VOLUME_KUBO_RPC: kuboRpc,
        IPFS_VOLUME_GATEWAYS: gatewayUrl,
        IPFS_VOLUME_LOG_LEVEL: 'error',
        ...environment,
      },
    });
    const client = new DaemonClient(socket);
    for (const deadline = Date.now() + 60_000; !(await answers(client)); await pause(10)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error('ipfs-volume serve did not start');
    }
    return new VolumeDaemon(directory, child, client);
  }

  /** Creates and mounts a volume; gives its directory. */
  async mount(name: string, cid: string, options: Readonly<Record<string, string>> = {}): Promise<string> {
    await this.client.volumeDriver('Create', { Name: name, Opts: { cid, ...options } });
    const { Mountpoint } = await this.client.volumeDriver<{ Mountpoint: string }>('Mount', { Name: name, ID: 'bench' });
    return Mountpoint;
  }

  /**
   * A mountpoint as a container has it: bound elsewhere. By its own path each look at a file would ask the daemon for the
   * names of the volumes anew, since these come and go.
   */
  async bind(mountpoint: string): Promise<string> {
    const target = join(this.#directory, 'container');
    await mkdir(target);
    await run('mount', ['--bind', mountpoint, target]);
    return target;
  }

  async unmount(name: string): Promise<void> {
    await this.client.volumeDriver('Unmount', { Name: name, ID: 'bench' });
  }

  async volume(name: string): Promise<VolumeStatus> {
    const found = (await this.client.status()).volumes.find((volume) => volume.name === name);
    if (!found) throw new Error(`no volume ${name}`);
    return found;
  }

  async stop(): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await end(this.#child);
    for (const name of ['container', 'mnt']) {
      await run('umount', ['-l', join(this.#directory, name)]).catch(() => undefined);
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** False where nothing listens on its socket, which is there a moment before that. */
function answers(client: DaemonClient): Promise<boolean> {
  return client.status().then(
    () => true,
    () => false,
  );
}
