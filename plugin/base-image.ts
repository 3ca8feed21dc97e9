/**
 * The Dockerfile's base image, where it cannot be pulled: a Debian of the same release by debootstrap, with the Node that
 * this checkout's own scripts run on, imported under the same name. The Dockerfile then works as it stands.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { docker } from './docker.ts';

/** The image that the Dockerfile starts from. */
export const BASE_IMAGE =
  /^FROM (\S+)/m.exec(readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8'))?.[1] ?? '';

const RELEASE = 'bookworm';
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'docker-volume-ipfs');

/**
 * Makes sure that the base image is on the engine: there already, pulled, or made here.
 * @throws saying what to do where none of the three works.
 */
export async function ensureBaseImage(say: (line: string) => void): Promise<void> {
  if (await hasImage()) return;
  let refusal: unknown;
  try {
    await docker(['pull', '--quiet', BASE_IMAGE]);
    return;
  } catch (error) {
    refusal = error;
  }
  say(`${BASE_IMAGE} cannot be pulled; making a local image of that name from Debian ${RELEASE} and this Node`);
  try {
    const archive = await archiveOf(say);
    await docker(['import', archive, BASE_IMAGE]);
  } catch (error) {
    throw new Error(
      `the base image ${BASE_IMAGE} can neither be pulled (${message(refusal)}) nor made (${message(error)})`,
    );
  }
}

async function hasImage(): Promise<boolean> {
  return docker(['image', 'inspect', '--format', '{{.Id}}', BASE_IMAGE]).then(
    () => true,
    () => false,
  );
}

/** A tar of the image's tree, made once a machine. */
async function archiveOf(say: (line: string) => void): Promise<string> {
  const archive = join(CACHE, `base-${RELEASE}-node-${process.version}.tar`);
  if (existsSync(archive)) return archive;
  await mkdir(CACHE, { recursive: true });
  const tree = await mkdtemp(join(CACHE, 'base-'));
  try {
    say('debootstrap runs for about a minute, once a machine');
    await finished(
      spawn('debootstrap', ['--variant=minbase', RELEASE, tree], { stdio: ['ignore', 'ignore', 'inherit'] }),
    );
    await mkdir(dirname(join(tree, 'usr/local/bin/node')), { recursive: true });
    await copyFile(process.execPath, join(tree, 'usr/local/bin/node'));
    await rm(join(tree, 'var/cache/apt'), { recursive: true, force: true });
    await rm(join(tree, 'var/lib/apt/lists'), { recursive: true, force: true });
    await finished(
      spawn('tar', ['-C', tree, '-cf', `${archive}.part`, '.'], { stdio: ['ignore', 'ignore', 'inherit'] }),
    );
    await rename(`${archive}.part`, archive);
    return archive;
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

async function finished(child: ChildProcess): Promise<void> {
  const [code] = await Promise.race([
    once(child, 'close'),
    once(child, 'error').then(([error]) => Promise.reject(error)),
  ]);
  if (code !== 0) throw new Error(`${child.spawnfile} ended with exit code ${code}`);
}

function message(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}
