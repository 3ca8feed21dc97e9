/**
 * The Dockerfile's base image, where it cannot be pulled: a Debian of the same release by debootstrap, with the Node that
 * this checkout's own scripts run on, imported under the same name; and where no Debian mirror is reached either, out of
 * this machine's own files. The Dockerfile then works as it stands.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { docker } from './docker.ts';
import { copyHostTree } from './host-tree.ts';

/** The image that the Dockerfile starts from. */
export const BASE_IMAGE =
  /^FROM (\S+)/m.exec(readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8'))?.[1] ?? '';

/** On an image that was made here. */
const OWN_LABEL = 'docker-volume-ipfs.made-here';
const RELEASE = 'bookworm';
/** What an image has no use for. */
const LEFT_OUT = ['var/cache/apt/*', 'var/lib/apt/lists/*', 'usr/share/doc', 'usr/share/man', 'usr/share/locale'];
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'docker-volume-ipfs');

/**
 * Makes sure that the base image is on the engine, for `platform` (the engine's own where undefined): there already,
 * pulled, or made here.
 * @throws saying what to do where none of the three works.
 */
export async function ensureBaseImage(platform: string | undefined, say: (line: string) => void): Promise<void> {
  const wanted = platform ?? (await docker(['version', '--format', '{{.Server.Os}}/{{.Server.Arch}}']));
  if ((await localPlatform()) === wanted) return;
  let refusal: unknown;
  try {
    await docker(['pull', '--quiet', '--platform', wanted, BASE_IMAGE]);
    return;
  } catch (error) {
    refusal = error;
  }
  try {
    if (wanted !== OWN_PLATFORM) throw new Error(`here is ${OWN_PLATFORM}, and it can only be made on ${wanted}`);
    say(`${BASE_IMAGE} cannot be pulled; making a local image of that name from Debian ${RELEASE} and this Node`);
    const archive = await archiveOf(say);
    await docker(['import', '--platform', wanted, '--change', `LABEL ${OWN_LABEL}=true`, archive, BASE_IMAGE]);
    if (dirname(archive) !== CACHE) await rm(archive);
  } catch (error) {
    throw new Error(
      `the base image ${BASE_IMAGE} for ${wanted} can neither be pulled (${message(refusal)}) nor made (${message(error)})`,
    );
  }
}

/** Takes the base image away again where it was made here: it bears an official image's name. A pulled one stays. */
export async function removeOwnBaseImage(): Promise<void> {
  const label = `{{index .Config.Labels "${OWN_LABEL}"}}`;
  const isOwn = await docker(['image', 'inspect', '--format', label, BASE_IMAGE]).catch(() => '');
  // Without force: where an image or a container of somebody's needs it, it stays too.
  if (isOwn === 'true') await docker(['image', 'rm', BASE_IMAGE]).catch(() => undefined);
}

/** As Docker spells it. */
const OWN_PLATFORM = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;

/** The platform of the image that is there; undefined where none is. */
async function localPlatform(): Promise<string | undefined> {
  return docker(['image', 'inspect', '--format', '{{.Os}}/{{.Architecture}}', BASE_IMAGE]).catch(() => undefined);
}

/** A tar of the image's tree, made once a machine. */
async function archiveOf(say: (line: string) => void): Promise<string> {
  const archive = join(CACHE, `base-${RELEASE}-node-${process.version}.tar`);
  if (existsSync(archive)) return archive;
  await mkdir(CACHE, { recursive: true });
  const tree = await mkdtemp(join(CACHE, 'base-'));
  try {
    say('debootstrap runs for about a minute, once a machine');
    await fillFromDebian(tree);
    await run('tar', ['-C', tree, ...LEFT_OUT.map((path) => `--exclude=./${path}`), '-cf', `${archive}.part`, '.']);
    await rename(`${archive}.part`, archive);
    return archive;
  } catch (error) {
    say(`${message(error)}; taking Node and the few programs that are needed from this machine instead`);
    // Not kept: another time there may be a Debian mirror.
    await rm(tree, { recursive: true, force: true });
    await mkdir(tree);
    await copyHostTree(tree);
    const ownArchive = join(tmpdir(), `ipfs-volume-base-${process.pid}.tar`);
    await run('tar', ['-C', tree, '-cf', ownArchive, '.']);
    return ownArchive;
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

async function fillFromDebian(tree: string): Promise<void> {
  await run('debootstrap', ['--variant=minbase', RELEASE, tree]);
  await mkdir(join(tree, 'usr/local/bin'), { recursive: true });
  await copyFile(process.execPath, join(tree, 'usr/local/bin/node'));
  // The machine's own, which debootstrap copied: the engine gives a container, and a plugin, theirs.
  await writeFile(join(tree, 'etc/resolv.conf'), '');
  await rm(join(tree, 'etc/hostname'), { force: true });
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const [code] = await once(child, 'close').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new Error(`${program} is not installed: apt-get install ${program}`);
    throw error;
  });
  if (code !== 0) throw new Error(`${program}: ${complaint.trim() || `exit code ${code}`}`);
}

function message(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}
