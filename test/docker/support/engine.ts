/**
 * A Docker engine of the tests' own: dockerd (which starts its containerd) with its data, sockets and pid file in one
 * directory, a bridge of its own (without one it would remove the machine's docker0) and no firewall rules, so that an
 * engine of the machine's is not touched. Containers get no network.
 *
 * It outlives `stop` on the disk: `start` again is a restart of the engine. Disposing removes containers and plugins,
 * stops it and removes the directory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BASE_IMAGE } from '../../../plugin/scripts/base-image.ts';
import { runProgram } from '../../../src/fuse/run-program.ts';
import { until } from '../../support/daemon.ts';

/** Against hangs only: a container starts in half a second. */
const LIMIT_MS = 90_000;
const SCRIPTS = new URL('../../../plugin/scripts/', import.meta.url).pathname;

/** At most 15 bytes, IFNAMSIZ of if.h. */
const BRIDGE = `ipfs${process.pid}`;
/** Of the range that RFC 2544 sets aside for tests of networks: the engine would choose a /16 for us. */
const BRIDGE_ADDRESS = '198.18.0.1/30';

/** What the plugin's own base image is good for too: it has a shell, coreutils and findutils. */
export const IMAGE = 'ipfs-volume-test-containers';
/** Where it comes from. `plugin:remove` takes the name away where the image was made here. */
export const IMAGE_SOURCE = BASE_IMAGE;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

export class Engine implements AsyncDisposable {
  directory = '';
  #process: ChildProcess | undefined;

  /** Starts it, on what it left where it ran before. */
  async start({ liveRestore = false } = {}): Promise<void> {
    if (!this.directory) {
      this.directory = await mkdtemp(join(tmpdir(), 'engine-'));
      await runProgram('ip', ['link', 'add', BRIDGE, 'type', 'bridge']);
      await runProgram('ip', ['address', 'add', BRIDGE_ADDRESS, 'dev', BRIDGE]);
    }
    const at = (name: string) => join(this.directory, name);
    await mkdir(at('client'), { recursive: true });
    await writeFile(at('daemon.json'), JSON.stringify({ 'live-restore': liveRestore }));
    const files = { 'data-root': 'data', 'exec-root': 'exec', pidfile: 'pid', 'config-file': 'daemon.json' };
    const flags = Object.entries(files).map(([flag, name]) => `--${flag}=${at(name)}`);
    this.#process = spawn(
      'dockerd',
      [...flags, '--host', this.host, '--bridge', BRIDGE, '--iptables=false', '--ip-forward=false', '--ip-masq=false'],
      // In our process group: Ctrl-C ends it too.
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    // Its containers' and its plugins' too.
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk;
    });
    await until(
      'the engine answers',
      async () => {
        if (this.#process?.exitCode !== null) throw new Error(`dockerd ended at its start:\n${this.log.slice(-3000)}`);
        return (await this.docker('version')).code === 0;
      },
      LIMIT_MS,
    );
  }

  /** What it wrote to its log since the first start. */
  log = '';

  get host(): string {
    return `unix://${this.directory}/docker.sock`;
  }

  /** Ends it by `signal`; without live-restore its containers and plugins end with SIGTERM, and are orphans with SIGKILL. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const engine = this.#process;
    if (!engine || engine.exitCode !== null || engine.signalCode !== null) return;
    const ended = once(engine, 'exit', { signal: AbortSignal.timeout(LIMIT_MS) });
    const containerd = (await readFile(join(this.directory, 'exec/containerd/containerd.pid'), 'utf8')).trim();
    engine.kill(signal);
    await ended;
    // It dies with the engine, a moment later, and an engine that starts within that moment would rely on it.
    await until('containerd has ended', () => !existsSync(`/proc/${containerd}`));
  }

  /** The environment of programs that talk to it. */
  get environment(): NodeJS.ProcessEnv {
    // Contexts and credentials of whoever runs the tests are none of theirs.
    return { ...process.env, DOCKER_HOST: this.host, DOCKER_CONFIG: join(this.directory, 'client') };
  }

  /** Runs `docker ARGS`, whatever comes of it. */
  docker(...args: string[]): Promise<Outcome> {
    return this.run('docker', args);
  }

  /** stdout of `docker ARGS`, which must succeed. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(...args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  }

  /** What `docker ARGS`, which must fail, says. */
  async refusal(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(...args);
    if (code === 0) throw new Error(`docker ${args.join(' ')} should have failed, and said: ${stdout}`);
    return stderr;
  }

  /** `docker run --rm` without a network: stdout of a shell script in a container, which must succeed. */
  sh(mounts: readonly string[], script: string): Promise<string> {
    return this.ok('run', '--rm', '--network', 'none', ...mounts, IMAGE, 'sh', '-c', script);
  }

  /** Runs `npm run plugin:SCRIPT` of the checkout, built already. */
  async script(script: 'build' | 'install' | 'remove', ...args: string[]): Promise<Outcome> {
    return this.run(process.execPath, [join(SCRIPTS, `${script}.ts`), ...args]);
  }

  /** A container that runs until it is stopped, and stops at once when told to. Gives its name. */
  async background(name: string, mounts: readonly string[], script = 'sleep infinity & wait'): Promise<string> {
    const trap = `trap 'exit 0' TERM; ${script}`;
    await this.ok('run', '--detach', '--network', 'none', '--name', name, ...mounts, IMAGE, 'sh', '-c', trap);
    return name;
  }

  /** The volume's `Status`. */
  async status(volume: string): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse(await this.ok('volume', 'inspect', '--format', '{{json .Status}}', volume));
  }

  /** Where the managed plugin listens, on this side. */
  async pluginSocket(plugin: string): Promise<string> {
    return `/run/docker/plugins/${await this.pluginId(plugin)}/ipfs.sock`;
  }

  pluginId(plugin: string): Promise<string> {
    return this.ok('plugin', 'inspect', '--format', '{{.Id}}', plugin);
  }

  /** The process of a managed plugin whose command line ends with `command`: `serve` or `daemon`. */
  async pluginProcess(plugin: string, command: 'serve' | 'daemon'): Promise<number> {
    const id = await this.pluginId(plugin);
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        if (line.endsWith(`${command}\0`) && readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(id))
          return Number(pid);
      } catch {
        // It has ended meanwhile.
      }
    }
    throw new Error(`the plugin ${plugin} has no process "${command}" at this moment`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.directory) return;
    // One that was killed left orphans, which only an engine can end.
    if ((await this.docker('version')).code !== 0) await this.start();
    const containers = (await this.ok('ps', '--all', '--quiet')).split('\n').filter(Boolean);
    if (containers.length > 0) await this.docker('rm', '--force', ...containers);
    const plugins = (await this.ok('plugin', 'ls', '--quiet')).split('\n').filter(Boolean);
    for (const plugin of plugins) await this.docker('plugin', 'rm', '--force', plugin);
    await this.stop();
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .flatMap((line) => line.split(' ')[4] ?? []);
    for (const point of mounts.filter((path) => path.startsWith(`${this.directory}/`)).reverse()) {
      await runProgram('umount', ['--lazy', point]);
    }
    await runProgram('ip', ['link', 'delete', BRIDGE]);
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Runs any program against this engine. */
  async run(program: string, args: readonly string[], cwd = this.directory): Promise<Outcome> {
    const startedAt = performance.now();
    const child = spawn(program, args, {
      env: this.environment,
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr, tookMs: performance.now() - startedAt };
  }
}
