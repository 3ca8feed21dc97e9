/**
 * A systemd of the tests' own, process 1 of namespaces of its own, with the service installed as the README says, and with
 * none of the machine's services; see boot.sh. It starts in less than a second, because it is this machine's own, and
 * shares its network, so that sources on loopback are reached.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Outcome, run, shell } from '../../fuse/outside.ts';
import { until } from '../../support/daemon.ts';

const CHECKOUT = new URL('../../..', import.meta.url).pathname;
const SCRIPT = new URL('boot.sh', import.meta.url).pathname;
const SEARCH_PATH = 'PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SERVICE = 'ipfs-volume';

export class BootedSystemd implements AsyncDisposable {
  readonly #unshare: ChildProcess;
  readonly #directory: string;
  readonly #name: string;
  #said = '';

  private constructor(directory: string) {
    this.#directory = directory;
    this.#name = `ipfs-volume-test-${process.pid}`;
    const namespaces = ['--mount', '--pid', '--uts', '--ipc', '--propagation', 'private'];
    this.#unshare = spawn(
      'unshare',
      [...namespaces, '--fork', '--kill-child', 'sh', SCRIPT, directory, this.#name, CHECKOUT, process.execPath],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#unshare.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  /** Resolves once it has started what it starts. The caller's to dispose. */
  static async boot(): Promise<BootedSystemd> {
    const booted = new BootedSystemd(await mkdtemp(join(tmpdir(), 'systemd-')));
    try {
      await until('systemd has started', async () => {
        if (booted.#unshare.exitCode !== null) throw new Error(`systemd did not start: ${booted.#said}`);
        const { stdout } = await booted.run('systemctl', 'is-system-running');
        // What fails of the machine's own units, in such a place, is none of ours.
        return ['running\n', 'degraded\n'].includes(stdout.toString());
      });
      return booted;
    } catch (error) {
      await booted[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its process 1, as it is numbered here. */
  get pid(): number {
    const { pid } = this.#unshare;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  }

  /** What is `path` in there, as a path here. */
  at(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  /** Runs a program in there, as root has it on a machine. */
  run(...command: string[]): Promise<Outcome> {
    const root = `/proc/${this.pid}/root`;
    const namespaces = ['--mount', '--pid', '--uts', '--ipc', '--cgroup', `--root=${root}`, `--wd=${root}`];
    return run('nsenter', `--target=${this.pid}`, ...namespaces, 'env', '-i', 'LC_ALL=C', SEARCH_PATH, ...command);
  }

  /** stdout of `systemctl ARGS`, which must succeed. */
  async systemctl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run('systemctl', ...args);
    if (code !== 0) throw new Error(`systemctl ${args.join(' ')}: ${stderr}\n${await this.journal()}`);
    return stdout.toString().trim();
  }

  /** What systemd says of the service: `ActiveState`, `MainPID`, `NRestarts`. */
  property(name: string): Promise<string> {
    return this.systemctl('show', '--property', name, '--value', SERVICE);
  }

  /** What the service logged. */
  async journal(): Promise<string> {
    return (await this.run('journalctl', '--unit', SERVICE, '--output', 'cat', '--no-pager')).stdout.toString();
  }

  /** Everything in there is killed; what it mounted goes with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#unshare;
    if (exitCode === null && signalCode === null) {
      const ended = once(this.#unshare, 'exit', { signal: AbortSignal.timeout(30_000) });
      // Its one child is killed with it.
      this.#unshare.kill('SIGKILL');
      await ended;
    }
    const remove =
      'mount -t cgroup2 cgroup2 "$1" && cd "$1" && [ ! -d "$2" ] || find "$2" -depth -type d -exec rmdir {} +';
    await until('its processes are gone', async () => {
      const removed = await shell(
        `unshare --mount sh -c '${remove}' sh "$1" "$2" 2>&1 || echo busy`,
        this.#directory,
        this.#name,
      );
      return removed === '';
    });
    await rmdir(this.#directory);
  }
}
