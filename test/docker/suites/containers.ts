/** Containers on volumes: what users do, and what the engine asks for behind it. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { describeWith } from '../../support/machine.ts';
import { type Bench, PLUGIN, volume } from '../support/bench.ts';
import { IMAGE } from '../support/engine.ts';
import { LISTING } from '../support/listing.ts';

const run = promisify(execFile);
/** A Debian package's tree: a few thousand files, hundreds of them symlinks. */
const PACKAGE_TREE = '/usr/share/zoneinfo';

export function containers(bench: Bench): void {
  const { engine } = bench;
  const listed = async (directory: string) => (await run('sh', ['-c', LISTING, 'sh', directory])).stdout.trim();

  describe('containers', () => {
    test('read a bare CID with --rm; the volume is listed, inspected and removed', async () => {
      const cid = bench.sampleCid;
      const listing = LISTING.replaceAll('$1', '/data');
      expect(await engine.sh(volume(cid), listing)).toBe(await listed(bench.sample));
      expect(await engine.sh(volume(cid), '/data/bin/greet; cat /data/note')).toBe('hello from /data/bin/greet\nfound');
      expect(await engine.ok('volume', 'ls', '--quiet', '--filter', `driver=${PLUGIN}:latest`)).toBe(cid);
      const [inspected] = JSON.parse(await engine.ok('volume', 'inspect', cid));
      expect(inspected).toMatchObject({ Driver: `${PLUGIN}:latest`, Scope: 'local', Name: cid, Mountpoint: '' });
      expect(Date.parse(inspected.CreatedAt)).toBeGreaterThan(Date.now() - 600_000);
      // What is here is counted half a second after a mount: these containers may be gone by then.
      const state = expect.stringMatching(/^(created|complete)$/);
      expect(inspected.Status).toMatchObject({ cid, path: '', state, mounts: 0, lastError: null });
      await engine.ok('volume', 'rm', cid);
      expect(await engine.ok('volume', 'ls', '--quiet')).toBe('');
    });

    test('see a package tree, file by file, as it was added', async () => {
      const cid = await bench.add(PACKAGE_TREE);
      const listing = LISTING.replaceAll('$1', '/data');
      expect(await engine.sh(volume(cid), listing)).toBe(await listed(PACKAGE_TREE));
      await engine.ok('volume', 'rm', cid);
    });

    test('may stand on a path below a CID, slashes in the volume’s name and all', async () => {
      const name = `${bench.sampleCid}/docs/deep`;
      expect(await engine.sh(volume(name), 'cat /data/deeper/note.txt')).toBe('found');
      expect(await engine.status(name)).toMatchObject({ path: 'docs/deep', mounts: 0 });
      await engine.ok('volume', 'rm', name);
    });

    test('two on one volume, and two by --volumes-from: mounted until the last one ends', async () => {
      const cid = bench.sampleCid;
      const mounts = async () => (await engine.status(cid)).mounts;
      await engine.background('first', volume(cid));
      await engine.background('second', volume(cid, '/other'));
      expect(await mounts()).toBe(2);
      await engine.background('third', ['--volumes-from', 'first']);
      expect(await mounts()).toBe(3);
      expect(await engine.refusal('volume', 'rm', cid)).toMatch(/volume is in use/);
      await engine.ok('rm', '--force', 'first');
      expect(await mounts()).toBe(2);
      expect(await engine.ok('exec', 'second', 'cat', '/other/note')).toBe('found');
      expect(await engine.ok('exec', 'third', 'cat', '/data/note')).toBe('found');
      await engine.ok('rm', '--force', 'second', 'third');
      expect(await mounts()).toBe(0);
      await engine.ok('volume', 'rm', cid);
    });

    test('docker cp out of a running container and a stopped one leaves the count where it was', async () => {
      const cid = bench.sampleCid;
      const target = await mkdtemp(join(tmpdir(), 'cp-'));
      await engine.background('running', volume(cid));
      await engine.ok('cp', 'running:/data/docs', join(target, 'one'));
      expect(await readFile(join(target, 'one/deep/deeper/note.txt'), 'utf8')).toBe('found\n');
      expect((await engine.status(cid)).mounts).toBe(1);
      expect(await engine.ok('exec', 'running', 'cat', '/data/note')).toBe('found');
      await engine.ok('stop', 'running');
      await engine.ok('cp', 'running:/data/large', join(target, 'two'));
      expect(await readFile(join(target, 'two'))).toEqual(await readFile(join(bench.sample, 'large')));
      expect((await engine.status(cid)).mounts).toBe(0);
      await engine.ok('rm', 'running');
      await engine.ok('volume', 'rm', cid);
      await rm(target, { recursive: true });
    });

    test('a reference to one file is bound as a file', async () => {
      const name = `${bench.sampleCid}/large`;
      const { stdout } = await run('sha256sum', [join(bench.sample, 'large')]);
      expect(await engine.sh(volume(name, '/etc/large'), 'sha256sum < /etc/large')).toBe(`${stdout.slice(0, 64)}  -`);
      await engine.ok('volume', 'rm', name);
    });

    test('--mount with options, and volume create, mean the same', async () => {
      const cid = bench.sampleCid;
      const mount = `type=volume,volume-driver=${PLUGIN},volume-opt=cid=${cid}/docs,volume-opt=uid=7,source=named,dst=/data`;
      expect(await engine.sh(['--mount', mount], 'stat -c %u:%g /data/nothing; mount | grep -c " /data .*ro,"')).toBe(
        '7:0\n1',
      );
      await engine.ok('volume', 'create', '--driver', PLUGIN, '--opt', `path=/ipfs/${cid}/docs/deep`, 'created');
      expect(await engine.sh(volume('created'), 'cat /data/deeper/note.txt')).toBe('found');
      await engine.ok('volume', 'rm', 'named', 'created');
    });

    test('cannot write', async () => {
      const cid = bench.sampleCid;
      const said = await engine.refusal(
        'run',
        '--rm',
        '--network',
        'none',
        ...volume(cid),
        IMAGE,
        'touch',
        '/data/new',
      );
      expect(said).toMatch(/Read-only file system/);
      await engine.ok('volume', 'rm', cid);
    });

    test('prune passes volumes over', async () => {
      await engine.ok('volume', 'create', '--driver', PLUGIN, bench.sampleCid);
      await engine.ok('volume', 'prune', '--force');
      expect(await engine.ok('volume', 'ls', '--quiet')).toBe(bench.sampleCid);
      await engine.ok('volume', 'rm', bench.sampleCid);
    });
  });

  describe('where the image has the target directory already', () => {
    test('the volume is shown; an empty one needs nocopy, and a file cannot stand there', async () => {
      // The engine copies what the image has there into volumes that are empty.
      expect(await engine.sh(volume(bench.sampleCid, '/etc/default'), 'cat /etc/default/note')).toBe('found');
      const empty = `${bench.sampleCid}/empty`;
      const file = `${bench.sampleCid}/large`;
      for (const [name, complaint] of [
        [empty, /read-only file system/],
        [file, /not a directory/],
      ] as const) {
        const create = ['create', '--network', 'none', ...volume(name, '/etc/default'), IMAGE, 'true'];
        expect(await engine.refusal(...create)).toMatch(complaint);
        expect((await engine.status(name)).mounts).toBe(0);
      }
      expect(await engine.sh(volume(empty, '/etc/default:nocopy'), 'ls /etc/default')).toBe('');
      await engine.ok('volume', 'rm', bench.sampleCid, empty, file);
    });
  });

  describeWith(['compose'], 'a compose file', () => {
    test('names the driver and its options', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'compose-'));
      const file = join(directory, 'compose.yaml');
      await mkdir(join(directory, 'empty'));
      await writeFile(
        file,
        JSON.stringify({
          version: '3.7',
          services: {
            reader: {
              image: IMAGE,
              network_mode: 'none',
              command: ['cat', '/data/deep/deeper/note.txt'],
              volumes: ['content:/data:ro'],
            },
          },
          volumes: { content: { driver: PLUGIN, driver_opts: { cid: `${bench.sampleCid}/docs`, prefetch: 'none' } } },
        }),
      );
      const compose = (...args: string[]) =>
        engine.run('docker-compose', ['--file', file, '--project-name', 'composed', ...args]);
      const up = await compose('run', '--rm', '-T', 'reader');
      expect(up.stdout).toBe('found\n');
      expect(await engine.status('composed_content')).toMatchObject({ path: 'docs' });
      expect((await compose('down', '--volumes')).code).toBe(0);
      expect(await engine.ok('volume', 'ls', '--quiet')).toBe('');
      await rm(directory, { recursive: true });
    });
  });
}
