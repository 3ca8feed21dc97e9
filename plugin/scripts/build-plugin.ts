/**
 * Makes the managed plugin on the engine: the Dockerfile to an image, the image to a root file system, and that with
 * config.json to a plugin (`docker plugin create`).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ensureBaseImage } from './base-image.ts';
import { docker } from './docker.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface BuildOptions {
  /** Such as `ipfs`, or `registry.example/ipfs-volume:0.1.0-arm64` for pushing. */
  readonly name: string;
  /** Such as `linux/arm64`; the engine's own where undefined. */
  readonly platform?: string | undefined;
  readonly say: (line: string) => void;
}

/** What of the base image a plugin has no use for: Node's package managers. */
const LEFT_OUT = [
  'usr/local/lib/node_modules',
  'usr/local/bin/npm',
  'usr/local/bin/npx',
  'usr/local/bin/corepack',
  'opt/yarn-*',
];

/** @throws with what docker said; nothing is left behind then. */
export async function buildPlugin({ name, platform, say }: BuildOptions): Promise<void> {
  await ensureBaseImage(platform, say);
  const image = `ipfs-volume-rootfs:${process.pid}`;
  const directory = await mkdtemp(join(tmpdir(), 'ipfs-volume-plugin-'));
  try {
    await docker(['build', '--quiet', ...(platform ? ['--platform', platform] : []), '--tag', image, ROOT]);
    await exportImage(image, join(directory, 'rootfs'));
    await copyFile(join(ROOT, 'config.json'), join(directory, 'config.json'));
    await docker(['plugin', 'create', name, directory]);
  } finally {
    await docker(['image', 'rm', '--force', image]).catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  }
}

/** An image's whole tree into a directory: Docker has no way but through a container that never runs. */
async function exportImage(image: string, directory: string): Promise<void> {
  await mkdir(directory);
  const container = await docker(['create', image]);
  try {
    const source = spawn('docker', ['export', container], { stdio: ['ignore', 'pipe', 'inherit'] });
    const unpack = spawn('tar', ['-x', '-C', directory, ...LEFT_OUT.map((path) => `--exclude=${path}`)], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    const [[exported], [unpacked]] = await Promise.all([
      once(source, 'close'),
      once(unpack, 'close'),
      // A full disk ends tar, and the exit codes say so better than a broken pipe does.
      pipeline(source.stdout, unpack.stdin).catch(() => undefined),
    ]);
    if (exported !== 0 || unpacked !== 0) throw new Error(`the image ${image} could not be exported`);
  } finally {
    await docker(['rm', container]);
  }
}
