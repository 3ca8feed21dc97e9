/**
 * What every suite in this folder works on: one engine with the managed plugin installed by its own script, a
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
import { Engine, IMAGE, IMAGE_SOURCE } from './engine.ts';

const CLI = new URL('../../../dist/cli.js', import.meta.url).pathname;
const run = promisify(execFile);

/** Not `ipfs`: the engine would take a daemon that listens on /run/docker/plugins/ipfs.sock for it. */
export const PLUGIN = `ipfs-${process.pid}`;

/** The flags of `docker run` for a volume of it. */
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
  /** Blocks that it was asked for. */
  readonly asked = new Set<string>();
  /** How long it takes over an answer. */
  delayMs = 0;
  /** On this side; `sampleCid` is its root in the plugin's store. */
  sample = '';
  sampleCid = '';
  #gateway: GatewayServer | undefined;

  async start(): Promise<void> {
    await this.engine.start();
    this.#gateway = await startGatewayServer((request, response) => {
      const text = /^\/ipfs\/(\w+)\?format=raw$/.exec(request.url ?? '')?.[1];
      const key = text && blockKey(CID.parse(text));
      if (key) this.asked.add(key);
      if (key && this.held.has(key)) return;
      const bytes = key && this.blocks.blocks.get(key);
      setTimeout(() => (bytes ? raw(bytes) : status(404))(request, response), this.delayMs);
    });
    const installed = await this.engine.script('install', '--name', PLUGIN, ...this.settings);
    if (installed.code !== 0) throw new Error(installed.stderr);
    await this.engine.ok('tag', IMAGE_SOURCE, IMAGE);
    this.sample = await mkdtemp(join(tmpdir(), 'sample-'));
    await makeSample(this.sample);
    this.sampleCid = await this.add(this.sample);
  }

  /** The plugin's, as `plugin set` takes them. */
  get settings(): string[] {
    return [`IPFS_VOLUME_GATEWAYS=${this.#gateway?.url}`, 'IPFS_VOLUME_KUBO_RPC='];
  }

  /** `ipfs-volume add PATH` to the plugin's local store; the root's CID. */
  async add(path: string, plugin = PLUGIN): Promise<string> {
    const socket = await this.engine.pluginSocket(plugin);
    const { stdout } = await run(process.execPath, [CLI, 'add', path, '--socket', socket], { timeout: 60_000 });
    return stdout.trim().split('\n').at(-1) ?? '';
  }

  /** A directory whose listing, or else whose only file's end, hangs on a block that the gateway is silent about. */
  absentContent(salt: string, inListing: boolean): { root: string; lastBlock: string } {
    const parts = [0, 1].map((index) => this.dag.rawPart(Buffer.alloc(1024 * 1024, `${salt} ${index} `)));
    const file = this.dag.part(parts).cid;
    const absent = blockKey(inListing ? file : (parts[1] as { cid: CID }).cid);
    this.held.add(absent);
    return { root: this.dag.directory([{ name: 'file', cid: file }]).toString(), lastBlock: absent };
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
