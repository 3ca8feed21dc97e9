/**
 * A disk with an ext4 of its own (a file, by a loop device) that does what real disks do when they fail: turns read-only
 * after an error of its own, answers everything with EIO, stops answering for a while, is taken away and comes back. Needs
 * root.
 *
 *   await using disk = await RealDisk.make(64 * MIB);
 */
import { statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../src/fuse/run-program.ts';

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h): from now on everything is EIO. */
const SHUT_DOWN = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))
`;

export class RealDisk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #directory: string;
  #frozen = false;

  private constructor(directory: string) {
    this.#directory = directory;
    this.path = join(directory, 'disk');
  }

  static async make(sizeBytes: number): Promise<RealDisk> {
    const disk = new RealDisk(await mkdtemp(join(tmpdir(), 'ipfs-volume-real-disk-')));
    await writeFile(disk.#image, '');
    await truncate(disk.#image, sizeBytes);
    await succeed('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', disk.#image);
    await succeed('mkdir', disk.path);
    await disk.attach();
    return disk;
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /** Mounts it: as it was left, where it was taken away. */
  async attach(): Promise<void> {
    await succeed('mount', '-o', 'loop,errors=remount-ro', this.#image, this.path);
  }

  /** Takes it away. Whoever has files open keeps them. */
  async detach(): Promise<void> {
    await succeed('umount', '--lazy', this.path);
  }

  /** Unmounts it; false where somebody has anything open on it. */
  async unmount(): Promise<boolean> {
    return (await runProgram('umount', [this.path])).ok;
  }

  /** An error of the file system's own turns it read-only under everybody. For good: only a new mount is writable again. */
  async turnReadOnly(): Promise<void> {
    // A loop device's minor number is the one in its name.
    writeFileSync(`/sys/fs/ext4/loop${statSync(this.path).dev & 0xff}/trigger_fs_error`, '1');
  }

  /** Everything on it is EIO from now on. */
  async die(): Promise<void> {
    await succeed('python3', '-c', SHUT_DOWN, this.path);
  }

  /** Whoever writes waits, and cannot be killed, until `thaw`. */
  async freeze(): Promise<void> {
    await succeed('fsfreeze', '--freeze', this.path);
    this.#frozen = true;
  }

  async thaw(): Promise<void> {
    this.#frozen = false;
    await succeed('fsfreeze', '--unfreeze', this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#frozen) await this.thaw();
    await runProgram('umount', ['--lazy', this.path]);
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #image(): string {
    return join(this.#directory, 'image');
  }
}

async function succeed(program: string, ...args: readonly string[]): Promise<void> {
  const end = await runProgram(program, [...args]);
  if (!end.ok) throw new Error(`${program} ${args.join(' ')}: ${end.said}`);
}
