/**
 * What this machine must have, whoever serves. Each check answers with what it saw and how to mend what is missing.
 *
 * Where a check looks can be said, so that a test can show it a machine that lacks the thing.
 */
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { Client } from 'undici';
import { formatBytes } from '../../base/units.ts';
import type { Diagnosis } from '../../volumes/control-api.ts';

export type Outcome = Diagnosis['outcome'];

export function diagnosis(check: string, outcome: Outcome, detail: string, advice = ''): Diagnosis {
  return { check, outcome, detail, advice };
}

export function checkNode(version: string = process.versions.node): Diagnosis {
  return diagnosis('node', 'ok', `${version}, ${process.arch}`);
}

/** FUSE 7.31 came with Linux 5.4's line of kernels, FUSE_NOTIFY_RESEND with 6.9. */
export function checkKernel(version: string = release()): Diagnosis {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const atLeast = (wantedMajor: number, wantedMinor: number) =>
    major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  if (atLeast(6, 9)) return diagnosis('kernel', 'ok', version);
  if (atLeast(5, 4)) {
    const advice = 'a kernel of 6.9 or newer lets reads in flight survive the death of the daemon';
    return diagnosis(
      'kernel',
      'warning',
      `${version} cannot resend requests: they fail once if the daemon dies`,
      advice,
    );
  }
  return diagnosis('kernel', 'failed', `${version} is too old`, 'use a kernel of 5.4 or newer, better 6.9');
}

export function checkFuseDevice(path = '/dev/fuse'): Diagnosis {
  if (!existsSync(path)) {
    const advice = `load the module with "modprobe fuse"; in a container, pass --device ${path}`;
    return diagnosis('fuse device', 'failed', `${path} is not there`, advice);
  }
  if (!statSync(path).isCharacterDevice()) {
    return diagnosis('fuse device', 'failed', `${path} is no device`, `make it: rm ${path}; mknod ${path} c 10 229`);
  }
  try {
    closeSync(openSync(path, 'r+'));
    return diagnosis('fuse device', 'ok', `${path} opens`);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code;
    const advice = 'run as root; in a container, the device must be allowed (--device)';
    return diagnosis('fuse device', 'failed', `${path} cannot be opened (${why})`, advice);
  }
}

/** CAP_SYS_ADMIN is bit 21 of the effective set (capabilities(7), proc(5)). */
export function checkMountPermission(statusText: string = readFileSync('/proc/self/status', 'utf8')): Diagnosis {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(statusText)?.[1] ?? '0'}`);
  if ((effective >> 21n) & 1n) return diagnosis('mount permission', 'ok', 'CAP_SYS_ADMIN is effective');
  const advice = 'run as root; in a container, pass --cap-add SYS_ADMIN';
  return diagnosis('mount permission', 'failed', 'CAP_SYS_ADMIN is missing', advice);
}

export function checkMountProgram(searchPath: string = process.env.PATH ?? ''): Diagnosis {
  for (const folder of searchPath.split(delimiter)) {
    const candidate = join(folder, 'mount');
    if (folder && canAccess(candidate, constants.X_OK)) return diagnosis('mount(8)', 'ok', candidate);
  }
  return diagnosis('mount(8)', 'failed', 'no "mount" in PATH', 'install util-linux (the package "mount" on Debian)');
}

/** Below this a cache of the default size cannot even begin to be useful. */
const LITTLE_SPACE_BYTES = 1024 ** 3;

export function checkStateDirectory(directory: string): Diagnosis {
  const check = 'state directory';
  let nearest = directory;
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest);
  if (!statSync(nearest).isDirectory()) {
    return diagnosis(check, 'failed', `${nearest} is no directory`, 'set IPFS_VOLUME_STATE_DIR to a directory');
  }
  if (!canAccess(nearest, constants.W_OK | constants.X_OK)) {
    const advice = `run as root, or set IPFS_VOLUME_STATE_DIR to a directory that can be written`;
    return diagnosis(check, 'failed', `${nearest} cannot be written`, advice);
  }
  const { bavail, bsize } = statfsSync(nearest);
  const freeBytes = bavail * bsize;
  const detail = `${directory}${nearest === directory ? '' : ', not there yet'}, ${formatBytes(freeBytes)} free`;
  if (freeBytes >= LITTLE_SPACE_BYTES) return diagnosis(check, 'ok', detail);
  return diagnosis(check, 'warning', detail, 'make room, or set IPFS_VOLUME_STATE_DIR to a larger disk');
}

/** The engine is a means, not a need: `mount` works without it. `dockerHost`: as the docker command's DOCKER_HOST. */
export async function checkDockerEngine(dockerHost?: string): Promise<Diagnosis> {
  const address = dockerHost || 'unix:///var/run/docker.sock';
  const socketPath = /^unix:\/\/(\/.*)$/.exec(address)?.[1];
  const host = /^(?:tcp|http):\/\/([^/]+)\/?$/.exec(address)?.[1];
  if (socketPath === undefined && (host === undefined || !URL.canParse(`http://${host}`))) {
    const detail = `not asked: DOCKER_HOST=${address} is neither unix:///PATH nor tcp://HOST:PORT`;
    return diagnosis('docker engine', 'warning', detail, 'see "docker version"');
  }
  const client = new Client(`http://${host ?? 'docker'}`, {
    connect: { ...(socketPath === undefined ? {} : { socketPath }), timeout: 3000 },
    headersTimeout: 3000,
  });
  try {
    const { body } = await client.request({ method: 'GET', path: '/version' });
    const { Version } = (await body.json()) as { Version?: string };
    return diagnosis('docker engine', 'ok', `version ${Version ?? 'unknown'}`);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    const advice = 'start it for volumes in containers; "ipfs-volume mount" works without';
    return diagnosis('docker engine', 'warning', `none answers on ${socketPath ?? address} (${why})`, advice);
  } finally {
    await client.destroy();
  }
}

function canAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
