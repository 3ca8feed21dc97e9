/**
 * Disks that fall silent. A directory that stands on another one through a FUSE file system (bindfs) whose process can be stopped: from then on
 * whoever touches it, reader or writer, stands still in the kernel, as on a network drive whose server is gone. And an ext4
 * whose device is a file on such a one: what the kernel has in memory goes on there, and nothing else. Need root.
 *
 *   await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state'));
 *   await using disk = await SilentDevice.make(scratch.at('device'), 128 * MIB);     // mounted at disk.path
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { detach } from '../../../src/fuse/run-program.ts';
import { shell } from '../../fuse/outside.ts';
import { until } from '../../support/daemon.ts';
import { standStill } from '../../support/stand-still.ts';

export class SilentDisk implements AsyncDisposable {
  readonly #path: string;
  readonly #bindfs: ChildProcess;

  private constructor(path: string, bindfs: ChildProcess) {
    this.#path = path;
    this.#bindfs = bindfs;
  }

  /** Makes both directories. */
  static async make(behind: string, path: string): Promise<SilentDisk> {
    for (const directory of [behind, path]) mkdirSync(directory, { recursive: true });
    const disk = new SilentDisk(path, spawn('bindfs', ['-f', behind, path], { stdio: 'inherit' }));
    await until('the disk is there', async () => (await shell('cat /proc/mounts')).includes(` ${path} `));
    return disk;
  }

  /**
   * Resolves once it takes no request any more. What it had begun it leaves undone: who waits for that waits in the kernel, whatever
   * signal comes. `user`, a process, waits for none of that: it stands still meanwhile, with all that it had asked for answered.
   */
  async fallSilent(user?: number): Promise<void> {
    if (user !== undefined) await standStill({ pid: user });
    await standStill(this.#bindfs);
    if (user !== undefined) process.kill(user, 'SIGCONT');
  }

  /** Answers for a tenth of the time, a moment of `momentMs` each, until what it gives is disposed of. */
  stutter(momentMs: number): Disposable {
    let moments = 0;
    const timer = setInterval(() => this.#bindfs.kill(moments++ % 10 === 0 ? 'SIGCONT' : 'SIGSTOP'), momentMs);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        this.answer();
      },
    };
  }

  answer(): void {
    this.#bindfs.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.answer();
    await detach(this.#path);
    this.#bindfs.kill('SIGTERM');
  }
}

export class SilentDevice implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #below: SilentDisk;
  #device = '';

  private constructor(path: string, below: SilentDisk) {
    this.path = path;
    this.#below = below;
  }

  /** In a directory of its own, which is made. */
  static async make(directory: string, sizeBytes: number): Promise<SilentDevice> {
    const below = await SilentDisk.make(join(directory, 'behind'), join(directory, 'below'));
    const made = new SilentDevice(join(directory, 'disk'), below);
    mkdirSync(made.path);
    const image = join(directory, 'below', 'image');
    await shell('truncate -s "$2" "$1" && mkfs.ext4 -q -F -E lazy_itable_init=0 "$1"', image, String(sizeBytes));
    // Without --direct-io what was read once would be in the cache of the file below.
    made.#device = (await shell('losetup --find --show --direct-io=on "$1"', image)).trim();
    await shell('mount "$1" "$2"', made.#device, made.path);
    return made;
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  async fallSilent(): Promise<void> {
    await this.#below.fallSilent();
  }

  answer(): void {
    this.#below.answer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.answer();
    await detach(this.path);
    await shell('losetup --detach "$1"', this.#device);
    await this.#below[Symbol.asyncDispose]();
  }
}
