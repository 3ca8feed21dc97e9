/**
 * What a suite needs of the machine. Where it lacks something the suite is skipped, with one visible line that says what
 * and why; `REQUIRE=fuse,docker,kubo` (any of them) turns such a skip into a failure, as CI does.
 */
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';
import { KUBO_BINARY } from '../kubo/build.ts';
import { memoryController } from './memory-cgroup.ts';

export type Need =
  | 'root'
  | 'fuse'
  | 'fuse-prune'
  | 'docker'
  | 'compose'
  | 'registry'
  | 'kubo'
  | 'systemd'
  | 'memory-cgroup'
  | 'fixtures';

/** IPFS content by other projects, beside the checkout and not part of it. */
export const FIXTURES = new URL('../../../shared/fixtures', import.meta.url).pathname;

/** Each gives why the machine lacks it; undefined where it is there. */
const PROBES: Readonly<Record<Need, () => string | undefined>> = {
  root: () => (process.getuid?.() === 0 ? undefined : 'the tests do not run as root'),
  fuse: () => {
    try {
      closeSync(openSync('/dev/fuse', 'r+'));
      return undefined;
    } catch (error) {
      return `/dev/fuse does not open: ${(error as Error).message}`;
    }
  },
  'fuse-prune': () => {
    const [major = 0, minor = 0] = release().split('.').map(Number);
    return major > 6 || (major === 6 && minor >= 18) ? undefined : `Linux ${release()} is older than 6.18`;
  },
  docker: () => {
    const missing = ['dockerd', 'docker', 'containerd', 'ip'].find((program) => !onPath(program));
    if (missing !== undefined) return `there is no ${missing} on the PATH`;
    return PROBES.root();
  },
  compose: () => (onPath('docker-compose') ? undefined : 'there is no docker-compose on the PATH'),
  registry: () => (onPath('docker-registry') ? undefined : 'there is no docker-registry on the PATH'),
  kubo: () => (existsSync(KUBO_BINARY) ? undefined : `${KUBO_BINARY} is not built: run "node test/kubo/build.ts"`),
  systemd: () => {
    const missing = ['systemctl', 'systemd-notify', 'unshare', 'nsenter'].find((program) => !onPath(program));
    if (missing !== undefined) return `there is no ${missing} on the PATH`;
    const systems = readFileSync('/proc/filesystems', 'utf8');
    const unknown = ['cgroup2', 'overlay'].find((type) => !systems.includes(`\t${type}\n`));
    return unknown === undefined ? PROBES.root() : `the kernel has no ${unknown}`;
  },
  'memory-cgroup': () => {
    const found = memoryController();
    return typeof found === 'string' ? found : PROBES.root();
  },
  fixtures: () => (existsSync(FIXTURES) ? undefined : `${FIXTURES} is not there`),
};

/** `describe`, where the machine has all of `needs`. */
export function describeWith(needs: readonly Need[], name: string, body: () => void): void {
  const lacks = needs.flatMap((need) => {
    const why = PROBES[need]();
    return why === undefined ? [] : [{ need, why }];
  });
  const [lack] = lacks;
  if (!lack) {
    describe(name, body);
    return;
  }
  const line = `${name} needs ${lack.need}: ${lack.why}`;
  const required = (process.env.REQUIRE ?? '').split(',');
  if (lacks.some(({ need }) => required.includes(need))) {
    test(line, () => {
      throw new Error(`required by REQUIRE=${process.env.REQUIRE}: ${line}`);
    });
  } else {
    // The reporter prints these lines at the end of the run.
    test.skip(`skipped: ${line}`, () => undefined);
  }
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
