/** The demo without an engine: `ipfs-volume serve` on a socket of its own, spoken to as Docker would, and its FUSE mount. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DaemonClient } from '../../src/cli/daemon-client.ts';
import { type Demo, type Reading, readingScript } from './demo-sample.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
const VOLUME_ID = 'demo';
/** A start takes half a second. */
const START_LIMIT_MS = 30_000;

/** @throws where this machine cannot mount either, saying why. */
export async function runOnMount({ directory, signal, say, undo }: Demo): Promise<Reading> {
  say('so the same through the plugin’s own socket and a real FUSE mount');
  checkMachine();
  const home = await mkdtemp(join(tmpdir(), 'ipfs-volume-demo-'));
  undo.defer(() => rm(home, { recursive: true, force: true }));
  const socket = join(home, 'ipfs.sock');
  const daemon = spawn(process.execPath, [CLI, 'serve'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    // A group of its own: Ctrl-C on a terminal is for the demo, which stops it in its turn.
    detached: true,
    env: {
      ...process.env,
      IPFS_VOLUME_SOCKET: socket,
      IPFS_VOLUME_MOUNT_ROOT: join(home, 'volumes'),
      IPFS_VOLUME_STATE_DIR: join(home, 'state'),
      IPFS_VOLUME_KUBO_RPC: '',
      IPFS_VOLUME_GATEWAYS: '',
    },
  });
  undo.defer(() => stop(daemon));
  await listening(daemon, socket, signal);
  say(`"ipfs-volume serve" listens on ${socket}`);
  const cid = await addSample(directory, socket, signal);
  say(`the sample is in its local store: ${cid}`);
  const client = undo.use(new DaemonClient(socket));
  const startedAt = performance.now();
  await client.volumeDriver('Create', { Name: cid }, { signal });
  const call = { Name: cid, ID: VOLUME_ID };
  const { Mountpoint: mountpoint } = await client.volumeDriver<{ Mountpoint: string }>('Mount', call, { signal });
  undo.defer(() => client.volumeDriver('Unmount', call).then(() => undefined));
  say(`Docker's calls Create and Mount gave ${mountpoint}`);
  return { cid, ...(await readWith(readingScript(mountpoint), startedAt, signal)) };
}

/** `ipfs-volume add`, to the daemon on `socket`: the root's CID. */
export async function addSample(directory: string, socket: string, signal: AbortSignal): Promise<string> {
  const child = spawn(process.execPath, [CLI, 'add', directory, '--socket', socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  const output = await textOf(child);
  return output.trim().split('\n').at(-1) ?? '';
}

function checkMachine(): void {
  if (process.getuid?.() !== 0)
    throw new Error('a FUSE mount needs root: run the demo as root, or start a Docker engine');
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    throw new Error('a FUSE mount needs /dev/fuse, which is not here: load it with "modprobe fuse"');
  }
}

async function listening(daemon: ChildProcess, socket: string, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(START_LIMIT_MS)]);
  while (!existsSync(socket)) {
    if (daemon.exitCode !== null) throw new Error('the daemon could not start; its reason is above');
    await delay(20, undefined, { signal: limit });
  }
}

/** Another process reads: the one that serves a mount never touches it. */
async function readWith(script: string, startedAt: number, signal: AbortSignal): Promise<Omit<Reading, 'cid'>> {
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'], signal });
  let firstByteMs = 0;
  child.stdout.once('data', () => {
    firstByteMs = performance.now() - startedAt;
  });
  const output = await textOf(child);
  return { output, firstByteMs, wholeMs: performance.now() - startedAt };
}

/** What it writes to stdout. @throws where it fails; its reason is on stderr */
async function textOf(child: ChildProcess): Promise<string> {
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${child.spawnargs.slice(0, 3).join(' ')} ended with exit code ${code}`);
  return output;
}

async function stop(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  await ended;
}
