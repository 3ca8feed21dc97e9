/**
 * A disk of a few megabytes, in memory, to be filled and made read-only. Needs root.
 *
 *   await using disk = await SmallDisk.make(16 * MIB);
 */
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../src/fuse/run-program.ts';

export class SmallDisk implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(sizeBytes: number): Promise<SmallDisk> {
    const path = await mkdtemp(join(tmpdir(), 'ipfs-volume-disk-'));
    await succeed('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'small-disk', path]);
    return new SmallDisk(path);
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Fills it but for `leaveBytes`, with a file that `giveBack` removes. */
  fill(leaveBytes = 0): void {
    const file = openSync(this.at('filler'), 'a');
    try {
      for (let left = this.freeBytes - leaveBytes; left > 0; )
        left -= writeSync(file, Buffer.alloc(Math.min(left, 65_536)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  giveBack(): void {
    rmSync(this.at('filler'), { force: true });
  }

  /** Nobody may have anything open on it for writing. */
  async setReadOnly(readOnly: boolean): Promise<void> {
    await succeed('mount', ['-o', `remount,${readOnly ? 'ro' : 'rw'}`, this.path]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runProgram('umount', ['-l', this.path]);
    await rm(this.path, { recursive: true, force: true });
  }
}

async function succeed(program: string, args: readonly string[]): Promise<void> {
  const end = await runProgram(program, [...args]);
  if (!end.ok) throw new Error(`${program} ${args.join(' ')}: ${end.said}`);
}
