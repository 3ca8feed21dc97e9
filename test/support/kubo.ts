/**
 * A Kubo node for one test: its own repository, loopback only, no peer but those it is given, gone afterwards.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { KUBO_BINARY } from '../kubo/build.ts';
import { standStill } from './stand-still.ts';

/** A daemon answers in about a second; on a machine that builds something beside, give it a minute. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/** What Kubo will not start without where it has a network's key: the other transports encrypt by themselves. */
const PRIVATE_NETWORK = {
  'AutoTLS.Enabled': false,
  'Swarm.Transports.Network': { QUIC: false, WebTransport: false, WebRTCDirect: false, Websocket: false },
};

export interface KuboNodeOptions {
  /** `ipfs daemon --offline`: absent blocks are refused at once, names resolve from its own keys alone. */
  readonly offline?: boolean;
  /** Settings by their dotted name, such as `{ 'Gateway.NoFetch': true }`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** 64 hexadecimal digits: a private network of those who have the same. */
  readonly networkKey?: string;
}

export class KuboNode {
  readonly repo: string;
  readonly #offline: boolean;
  #running: RunningDaemon;

  constructor(repo: string, offline: boolean, running: RunningDaemon) {
    this.repo = repo;
    this.#offline = offline;
    this.#running = running;
  }

  get rpcUrl(): string {
    return `http://127.0.0.1:${this.#running.rpcPort}`;
  }

  get gatewayUrl(): string {
    return `http://127.0.0.1:${this.#running.gatewayPort}`;
  }

  /** Of the daemon. */
  get processId(): number {
    return this.#running.daemon.pid ?? 0;
  }

  /** With `environment`, what `run` runs. */
  readonly program = KUBO_BINARY;

  get environment(): NodeJS.ProcessEnv {
    return environment(this.repo);
  }

  /** Runs `ipfs ARGS` against this node and resolves with its stdout. */
  run(args: readonly string[], input?: string | Uint8Array): Promise<Buffer> {
    return runIpfs(this.repo, args, input);
  }

  /** As `run`, for the one line most commands print. */
  async line(args: readonly string[], input?: string | Uint8Array): Promise<string> {
    return (await this.run(args, input)).toString().trim();
  }

  /** Stores a raw block of any size and resolves with its CID; over the RPC, because tests put hundreds. */
  async putRawBlock(bytes: Uint8Array): Promise<string> {
    const form = new FormData();
    form.set('data', new Blob([new Uint8Array(bytes)]));
    const url = `${this.rpcUrl}/api/v0/block/put?cid-codec=raw&allow-big-block=true`;
    const response = await fetch(url, { method: 'POST', body: form });
    if (!response.ok) throw new Error(`block put: ${await response.text()}`);
    return ((await response.json()) as { Key: string }).Key;
  }

  /** Where other nodes reach it: `/ip4/127.0.0.1/tcp/PORT/p2p/ID`. */
  async swarmAddress(): Promise<string> {
    const address = (await this.line(['id', '-f', '<addrs>']))
      .split('\n')
      .find((line) => line.includes('/127.0.0.1/tcp/'));
    if (address === undefined) throw new Error('this Kubo node listens nowhere (offline?)');
    return address;
  }

  /** Connects to another node; from then on each finds the other's blocks. */
  async connect(other: KuboNode): Promise<void> {
    await this.run(['swarm', 'connect', await other.swarmAddress()]);
  }

  /** Stops it as a full machine would: it accepts connections and answers nothing. Resolves once it has stopped. */
  async pause(): Promise<void> {
    await standStill(this.#running.daemon);
  }

  resume(): void {
    this.#running.daemon.kill('SIGCONT');
  }

  /** Ends the daemon alone; `restart` begins another on the same repository, on other ports. */
  async halt(): Promise<void> {
    this.resume();
    await endProcess(this.#running.daemon);
  }

  async restart(): Promise<void> {
    this.#running = await launch(this.repo, this.#offline);
  }

  /** Ends the daemon and removes the repository. Idempotent. */
  async stop(): Promise<void> {
    await this.halt();
    await rm(this.repo, { recursive: true, force: true });
  }
}

/** Starts a node with an empty repository; resolves once its RPC and its gateway answer. */
export async function startKubo({ offline = false, config = {}, networkKey }: KuboNodeOptions = {}): Promise<KuboNode> {
  const repo = await mkdtemp(join(tmpdir(), 'kubo-'));
  // `test`: loopback and free ports, no bootstrap, no mDNS. No routing: blocks come from connected peers only.
  await runIpfs(repo, ['init', '--profile=test,autoconf-off', '--empty-repo']);
  const settings = { 'Routing.Type': 'none', ...(networkKey === undefined ? {} : PRIVATE_NETWORK), ...config };
  if (networkKey !== undefined) {
    await writeFile(join(repo, 'swarm.key'), `/key/swarm/psk/1.0.0/\n/base16/\n${networkKey}\n`);
  }
  for (const [name, value] of Object.entries(settings)) {
    await runIpfs(repo, ['config', '--json', name, JSON.stringify(value)]);
  }
  try {
    return new KuboNode(repo, offline, await launch(repo, offline));
  } catch (error) {
    await rm(repo, { recursive: true, force: true });
    throw error;
  }
}

interface RunningDaemon {
  readonly daemon: ChildProcess;
  readonly rpcPort: string;
  readonly gatewayPort: string;
}

/** Resolves once its RPC and its gateway answer. */
async function launch(repo: string, offline: boolean): Promise<RunningDaemon> {
  const daemon = spawn(KUBO_BINARY, ['daemon', ...(offline ? ['--offline'] : [])], {
    env: environment(repo),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    return { daemon, ...(await listeningPorts(daemon)) };
  } catch (error) {
    await endProcess(daemon);
    throw error;
  }
}

/** Nothing of the machine's own Kubo, and no telemetry. */
function environment(repo: string): NodeJS.ProcessEnv {
  return { ...process.env, IPFS_PATH: repo, IPFS_TELEMETRY: 'off' };
}

async function listeningPorts(daemon: ChildProcess): Promise<{ rpcPort: string; gatewayPort: string }> {
  const said: string[] = [];
  const deadline = setTimeout(() => daemon.kill('SIGKILL'), START_TIMEOUT_MS);
  let rpcPort = '';
  let gatewayPort = '';
  if (daemon.stdout === null || daemon.stderr === null) throw new Error('the Kubo daemon has no output to read');
  daemon.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  try {
    for await (const line of createInterface({ input: daemon.stdout })) {
      said.push(line);
      rpcPort ||= /^RPC API server listening on .*\/tcp\/(\d+)/.exec(line)?.[1] ?? '';
      gatewayPort ||= /^Gateway server listening on .*\/tcp\/(\d+)/.exec(line)?.[1] ?? '';
      if (line.includes('Daemon is ready')) {
        // Read on, or a talkative daemon fills the pipe and stops.
        daemon.stdout.resume();
        return { rpcPort, gatewayPort };
      }
    }
  } finally {
    clearTimeout(deadline);
  }
  throw new Error(`the Kubo daemon did not start:\n${said.join('\n')}`);
}

function runIpfs(repo: string, args: readonly string[], input?: string | Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // 1 GiB of output: `ipfs cat` and `ipfs block get` go through here too.
    const options = { env: environment(repo), encoding: 'buffer' as const, maxBuffer: 1024 ** 3 };
    const child = execFile(KUBO_BINARY, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`ipfs ${args.join(' ')}: ${stderr.toString().trim()}`, { cause: error }));
    });
    // A command that fails early closes its input before it has read it.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(deadline);
}
