/**
 * What every suite in this folder works on: one engine with the managed plugin `ipfs` installed by its own script, a
 * trustless gateway on loopback as the plugin's only source besides its local store, and a sample tree in that store.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CID } from 'multiformats/cid';
import { blockKey } from '../../../src/blocks/block.ts';
import { BlockMap } from '../../support/block-map.ts';
import { DagBuilder } from '../../support/dag-builder.ts';
import { type GatewayServer, raw, startGatewayServer, status } from '../../support/gateway-server.ts';
import { Engine } from './engine.ts';

const CLI = new URL('../../../dist/cli.js', import.meta.url).pathname;
const run = promisify(execFile);

/** The plugin's name, and the flags of `docker run` for a volume of it. */
export const PLUGIN = 'ipfs';
export function volume(reference: string, target = '/data'): string[] {
  return ['--volume', `${reference}:${target}`, '--volume-driver', PLUGIN];
}

export class Bench implements AsyncDisposable {
  readonly engine = new Engine();
  /** What the gateway has. */
  readonly blocks = new BlockMap();
  readonly dag = new DagBuilder(this.blocks);
  /** Blocks that the gateway is asked for and keeps silent about. */
  readonly held = new Set<string>();
  /** On this side; `sampleCid` is its root in the plugin's store. */
  sample = '';
  sampleCid = '';
  #gateway: GatewayServer | undefined;

  async start(): Promise<void> {
    await this.engine.start();
    this.#gateway = await startGatewayServer((request, response) => {
      const text = /^\/ipfs\/(\w+)\?format=raw$/.exec(request.url ?? '')?.[1];
      const key = text && blockKey(CID.parse(text));
      if (key && this.held.has(key)) return;
      const bytes = key && this.blocks.blocks.get(key);
      (bytes ? raw(bytes) : status(404))(request, response);
    });
    const installed = await this.engine.script('install', ...this.settings);
    if (installed.code !== 0) throw new Error(installed.stderr);
    this.sample = await mkdtemp(join(tmpdir(), 'sample-'));
    await makeSample(this.sample);
    this.sampleCid = await this.add(this.sample);
  }

  /** The plugin's, as `plugin set` takes them. */
  get settings(): string[] {
    return [`IPFS_VOLUME_GATEWAYS=${this.#gateway?.url}`, 'IPFS_VOLUME_KUBO_RPC='];
  }

  /** Runs `ipfs-volume ARGS` against the plugin's daemon, and gives stdout. */
  async cli(...args: string[]): Promise<string> {
    const socket = await this.engine.pluginSocket(PLUGIN);
    const { stdout } = await run(process.execPath, [CLI, ...args, '--socket', socket], { timeout: 60_000 });
    return stdout.trim();
  }

  /** `ipfs-volume add PATH` to the plugin's local store; the root's CID. */
  async add(path: string): Promise<string> {
    return (await this.cli('add', path)).split('\n').at(-1) ?? '';
  }

  /** A file of `size` random bytes that the gateway has, but for its last block, which it is silent about. */
  halfAbsentFile(name: string): { root: string; lastBlock: string } {
    const parts = [0, 1].map((index) => this.dag.rawPart(Buffer.alloc(1024 * 1024, `${name} ${index} `)));
    const lastBlock = blockKey((parts[1] as { cid: CID }).cid);
    this.held.add(lastBlock);
    return { root: this.dag.directory([{ name: 'file', cid: this.dag.part(parts).cid }]).toString(), lastBlock };
  }

  /** After a test, whatever came of it: no container, no volume. */
  async tidy(): Promise<void> {
    const containers = (await this.engine.ok('ps', '--all', '--quiet')).split('\n').filter(Boolean);
    if (containers.length > 0) await this.engine.ok('rm', '--force', ...containers);
    const volumes = (await this.engine.ok('volume', 'ls', '--quiet')).split('\n').filter(Boolean);
    if (volumes.length > 0) await this.engine.ok('volume', 'rm', ...volumes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await this.#gateway?.close();
    if (this.sample) await rm(this.sample, { recursive: true, force: true });
  }
}

/** Directories, an empty one, an executable, symlinks, odd names, modes and times, and a file of several blocks. */
async function makeSample(directory: string): Promise<void> {
  const at = (...names: string[]) => join(directory, ...names);
  await mkdir(at('bin'));
  await mkdir(at('docs', 'deep', 'deeper'), { recursive: true });
  await mkdir(at('empty'));
  await writeFile(at('bin', 'greet'), '#!/bin/sh\necho "hello from $0"\n');
  await chmod(at('bin', 'greet'), 0o755);
  await writeFile(at('docs', 'deep', 'deeper', 'note.txt'), 'found\n');
  await writeFile(at('docs', 'nothing'), '');
  await writeFile(at('docs', 'größe mit leerzeichen \u{1f433}'), 'odd\n');
  await writeFile(at('private'), 'for the owner\n', { mode: 0o600 });
  await writeFile(at('large'), Buffer.alloc(5 * 1024 * 1024 + 7, 'all work and no play '));
  await symlink('docs/deep/deeper/note.txt', at('note'));
  await symlink('/nowhere/at/all', at('dangling'));
  await utimes(at('docs', 'nothing'), 1_000_000_000, 1_000_000_000.25);
}
