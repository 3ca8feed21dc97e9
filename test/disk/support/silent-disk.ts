/**
 * A directory that stands on another one through a FUSE file system (bindfs) whose process can be stopped: from then on
 * whoever touches it, reader or writer, stands still in the kernel, as on a network drive whose server is gone. Needs root.
 *
 *   await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state'));
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { detach } from '../../../src/fuse/run-program.ts';
import { shell } from '../../fuse/outside.ts';
import { until } from '../../support/daemon.ts';

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

  fallSilent(): void {
    this.#bindfs.kill('SIGSTOP');
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
