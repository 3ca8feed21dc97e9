/**
 * A daemon whose disk fails under it, as real disks do: read-only after an error, EIO for everything, taken away, silent.
 * Readers go on from the source, Docker's calls answer or say what is wrong, the daemon stays the same one, and works again
 * with its disk.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { CID } from 'multiformats/cid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Scratch } from '../cli/support/scratch.ts';
import { shell } from '../fuse/outside.ts';
import { type BlockGateway, startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { launchDaemon, startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';
import { carV1 } from '../support/make-car.ts';
import { read, sha256 } from '../support/reading.ts';
import { numbered } from './support/numbered.ts';
import { RealDisk } from './support/real-disk.ts';
import { SilentDevice, SilentDisk } from './support/silent-disk.ts';

const DISK_BYTES = 128 * 1024 ** 2;
/** Of both kinds that the cache keeps: rows of its table, and files. */
const FILE_BYTES = [20_000, 300_000];
const FILES = 2;
/** Each by itself, so that what is read of one brings nothing of the next. */
const VOLUMES = 8;
/** Less than the 5 s that a call waits for a silent disk, and more than a busy machine takes over one that does not. */
const WITHIN_MS = 4000;
/** More than memory keeps of them, as blocks or as pages of the index. */
const ROWS = 1600;
const ROW_BYTES = 30_000;
/** More than a disk is taken to be well for, also a busy one (LATE_MS). */
const UNASKED_MS = 700;
/** A disk that seeks for a hundred others takes as long for each answer. */
const STUTTER_MS = 25;
/** Five seconds are promised; as many again are for a machine that does other things too. Docker and systemd wait no longer. */
const STOP_WITHIN_MS = 10_000;

const waitedFor = (directory: string) =>
  `the disk of the state directory ${directory} has not answered for 5 s: waiting for it`;

describeWith(['root', 'fuse'], 'a disk that fails under a daemon', () => {
  /** By volume and file. */
  const sums: string[][] = [];
  const roots: CID[] = [];
  let gateway: BlockGateway;

  beforeAll(async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    for (let volume = 0; volume < VOLUMES; volume++) {
      const contents = Array.from({ length: FILES }, (_, file) =>
        Buffer.alloc(FILE_BYTES[file % FILE_BYTES.length] as number, `file ${file} of ${volume} `),
      );
      sums.push(contents.map(sha256));
      roots.push(
        dag.directory(contents.map((bytes, file) => ({ name: `f${file}`, cid: dag.raw(bytes), tsize: bytes.length }))),
      );
    }
    gateway = await startBlockGateway(blocks);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  async function serve(stateDirectory: string) {
    const daemon = await startDaemon({ gateways: [gateway.url], stateDirectory, settings: { PREFETCH: 'none' } });
    const mountpoints: string[] = [];
    for (const [volume, root] of roots.entries()) mountpoints.push(await daemon.mount(`data-${volume}`, root));
    await importBlocks(daemon, 1);
    let next = 0;
    /** Reads a volume that nobody has read yet, and again what was read; each with the right bytes. */
    const readSome = async () => {
      await shell('echo 1 > /proc/sys/vm/drop_caches');
      for (const volume of [next, 0]) {
        for (const [file, sum] of (sums[volume] ?? []).entries())
          expect((await read(join(mountpoints[volume] ?? '', `f${file}`))).result).toBe(sum);
      }
      next++;
    };
    await readSome();
    await until('what was read is cached', async () => (await daemon.daemonStatus()).cache.blocks >= 2);
    return { daemon, readSome };
  }

  async function importBlocks(daemon: TestDaemon, first: number) {
    const blocks = Array.from({ length: 5 }, (_, index) => numbered(first * 10 + index));
    await using client = daemon.client();
    return await client.import(Readable.from([carV1([(blocks[0] as { cid: CID }).cid], blocks)]));
  }

  /** Get and List answer at once, whatever the disk does; the volume is as it was. */
  async function answers(daemon: TestDaemon, volumes = VOLUMES) {
    const begun = performance.now();
    expect((await daemon.status('data-0')).mounts).toBe(1);
    const { Volumes } = await daemon.call<{ Volumes: object[] }>('List', {});
    expect(Volumes).toHaveLength(volumes);
    expect(performance.now() - begun).toBeLessThan(WITHIN_MS);
  }

  /** Resolves once nobody has asked the cache's disk for longer than a disk is taken to be well without being asked again. */
  async function unasked(daemon: TestDaemon) {
    let last = '';
    let sinceMs = performance.now();
    await until('nobody asks the disk', async () => {
      const now = JSON.stringify((await daemon.daemonStatus()).cache);
      if (now !== last) sinceMs = performance.now();
      last = now;
      return performance.now() - sinceMs > UNASKED_MS;
    });
  }

  async function stopsInTime(daemon: TestDaemon) {
    const begun = performance.now();
    await daemon.stop();
    expect(performance.now() - begun).toBeLessThan(STOP_WITHIN_MS);
  }

  async function worksAgain(daemon: TestDaemon) {
    await daemon.mount('afterwards', roots[0] as CID);
    await daemon.remove('afterwards');
    await importBlocks(daemon, 3);
  }

  test.each<[string, (disk: RealDisk) => Promise<void>, RegExp]>([
    ['read-only after an error of its file system', (disk) => disk.turnReadOnly(), /EROFS|[Rr]ead-?only/],
    ['EIO for everything', (disk) => disk.die(), /EIO|I\/O error/],
  ])('%s: readers go on, changes are refused by name, and what was mounted is given back', async (_how, fail, why) => {
    await using disk = await RealDisk.make(DISK_BYTES);
    const { daemon: served, readSome } = await serve(disk.at('state'));
    await using daemon = served;
    const pid = daemon.daemonPid;
    await fail(disk);
    for (let times = 0; times < 3; times++) {
      await readSome();
      await answers(daemon);
    }
    const refused = new RegExp(`the state cannot be saved in ${disk.at('state')}: .*(${why.source})`);
    await expect(daemon.create('new', roots[0] as CID)).rejects.toThrow(refused);
    await expect(daemon.call('Mount', { Name: 'data-0', ID: 'another' })).rejects.toThrow(refused);
    await expect(importBlocks(daemon, 2)).rejects.toThrow(/the local store in .* cannot be written/);
    await logged(daemon, 'the disk cache cannot be written: going on without it, and trying again every 30 s');
    // A container that ends is not held by the disk.
    await daemon.call('Unmount', { Name: 'data-0', ID: 'data-0' });
    expect((await daemon.status('data-0')).mounts).toBe(0);
    await logged(daemon, 'the state cannot be saved now, and will be later');
    expect(daemon.daemonPid).toBe(pid);
  });

  test('taken away and brought back: nothing is written in its place, and it is used again', async () => {
    await using disk = await RealDisk.make(DISK_BYTES);
    const { daemon: served, readSome } = await serve(disk.at('state'));
    await using daemon = served;
    const pid = daemon.daemonPid;
    await disk.detach();
    await readSome();
    await answers(daemon);
    await expect(daemon.create('new', roots[0] as CID)).rejects.toThrow(
      `the state cannot be saved in ${disk.at('state')}: ENOENT`,
    );
    await logged(daemon, 'the disk cache cannot be written: going on without it, and trying again every 30 s');
    await readSome();
    expect(readdirSync(disk.path)).toEqual([]);
    await disk.attach();
    await worksAgain(daemon);
    await readSome();
    expect(daemon.daemonPid).toBe(pid);
  });

  test('silent for writers: nobody who reads or asks waits for it, who changes something is told, and it goes on', async () => {
    await using disk = await RealDisk.make(DISK_BYTES);
    const { daemon: served, readSome } = await serve(disk.at('state'));
    await using daemon = served;
    const pid = daemon.daemonPid;
    await disk.freeze();
    const silent = /the state cannot be saved in .*: the disk has not answered for \d+ s/;
    const creating = daemon.create('new', roots[0] as CID).then(
      () => 'created',
      ({ message }) => message,
    );
    const importing = importBlocks(daemon, 2);
    const done = importing.then(
      () => true,
      () => true,
    );
    for (let times = 0; times < 4; times++) {
      await readSome();
      await answers(daemon);
    }
    expect(await creating).toMatch(silent);
    const begun = performance.now();
    await expect(daemon.create('new', roots[0] as CID)).rejects.toThrow(silent);
    expect(performance.now() - begun).toBeLessThan(WITHIN_MS);
    await logged(daemon, 'the disk cache cannot be written: going on without it until it can');
    expect(await Promise.race([done, answers(daemon)])).not.toBe(true);
    await disk.thaw();
    await importing;
    await logged(daemon, 'the disk cache works again');
    await until('the state can be saved', () =>
      daemon.create('afterwards', roots[0] as CID).then(
        () => true,
        () => false,
      ),
    );
    expect(daemon.daemonPid).toBe(pid);
  });

  test('silent under all of the state while there is no daemon: it is waited for, said, and all goes on when it answers', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state'));
    const { daemon: served } = await serve(scratch.at('state'));
    await using daemon = served;
    const supervisor = daemon.pid;
    const first = daemon.daemonPid;
    await disk.fallSilent(first);
    process.kill(first, 'SIGKILL');
    const file = join(daemon.mountRoot, 'data-7', 'f0');
    const reading = read(file);
    const listing = daemon.call<{ Volumes: object[] }>('List', {});
    await logged(daemon, waitedFor(scratch.at('state')));
    disk.answer();
    expect((await listing).Volumes).toHaveLength(VOLUMES);
    expect((await reading).result).toBe(sums[7]?.[0]);
    expect(daemon.pid).toBe(supervisor);
    expect(daemon.log.filter((line) => line.includes('the daemon died'))).toHaveLength(1);
    await worksAgain(daemon);
  });

  test('silent at the start: the socket is there, and calls are answered once the disk does', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state'));
    await (await startDaemon({ stateDirectory: scratch.at('state') })).stop();
    await disk.fallSilent();
    await using daemon = launchDaemon({ stateDirectory: scratch.at('state'), directory: scratch.at('run') });
    await logged(daemon, 'the disk of the state directory does not answer: waiting for it');
    await until('it listens', () => existsSync(daemon.socketPath));
    const listing = daemon.call<{ Volumes: object[] }>('List', {});
    disk.answer();
    expect((await listing).Volumes).toEqual([]);
  });

  test('silent under a cache whose index is not in memory: the daemon does not stand still for it', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state', 'cache'));
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const files = Array.from({ length: ROWS }, (_, row) => {
      const bytes = Buffer.alloc(ROW_BYTES, `row ${row} `);
      return { name: `${row}`, cid: dag.raw(bytes), tsize: bytes.length };
    });
    const root = dag.directory(files);
    await using source = await startBlockGateway(blocks);
    const settings = { PREFETCH: 'none' };
    await using daemon = await startDaemon({ gateways: [source.url], stateDirectory: scratch.at('state'), settings });
    const mountpoint = await daemon.mount('rows', root);
    const sum = () => shell('cd "$1" && cat $(seq 0 $2) | sha256sum', mountpoint, String(ROWS - 1));
    const before = await sum();
    await until('all is cached', async () => (await daemon.daemonStatus()).cache.blocks > ROWS);
    const pid = daemon.daemonPid;
    await unasked(daemon);
    await disk.fallSilent();
    await shell('echo 3 > /proc/sys/vm/drop_caches');
    const asked = source.asked.length;
    expect(await sum()).toBe(before);
    expect(source.asked.length).toBeGreaterThan(asked + ROWS / 2);
    expect((await daemon.status('rows')).mounts).toBe(1);
    expect(daemon.daemonPid).toBe(pid);
    await logged(daemon, 'the disk cache cannot be read: what is not read is fetched');
    disk.answer();
    await until('what is cached is read again', async () => {
      const seen = source.asked.length;
      expect(await sum()).toBe(before);
      return source.asked.length === seen;
    });
    expect(daemon.daemonPid).toBe(pid);
  });

  test('silent under all of the state and a living daemon: who reads elsewhere waits once, and what is only there is there again', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state'));
    const { daemon: served, readSome } = await serve(scratch.at('state'));
    await using daemon = served;
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const bytes = Buffer.alloc(300_000, 'only here ');
    const cid = dag.raw(bytes);
    const root = dag.directory([{ name: 'file', cid, tsize: bytes.length }]);
    await using client = daemon.client();
    await client.import(Readable.from([carV1([root], [...blocks.named()])]));
    const file = join(await daemon.mount('local', root), 'file');
    const pid = daemon.daemonPid;
    await unasked(daemon);
    await disk.fallSilent();
    for (let times = 0; times < 3; times++) {
      await readSome();
      await answers(daemon, VOLUMES + 1);
    }
    expect((await read(file)).result).toBe('Input/output error');
    await logged(daemon, 'the local store cannot be read');
    disk.answer();
    await until('it is there again', async () => (await read(file)).result === sha256(bytes));
    expect(daemon.daemonPid).toBe(pid);
  });

  test('a device that hangs, of which the kernel still has some in memory: the next daemon waits for it as well, and can be told to end', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDevice.make(scratch.at('device'), DISK_BYTES);
    const options = { stateDirectory: disk.at('state'), directory: scratch.at('run') };
    await using daemon = launchDaemon(options);
    await daemon.ready();
    // Behind what it saves at its start: nothing of it may wait in the kernel when it is killed.
    await daemon.create('before', roots[0] as CID);
    await unasked(daemon);
    await disk.fallSilent();
    process.kill(daemon.daemonPid, 'SIGKILL');
    await logged(daemon, waitedFor(disk.at('state')));
    // One of the daemon's threads waits in the kernel, where no signal reaches it: the supervisor ends without it.
    process.kill(daemon.pid, 'SIGTERM');
    await until('the supervisor has ended', () => !existsSync(`/proc/${daemon.pid}`), STOP_WITHIN_MS);
    disk.answer();
    await daemon.stop();
    await using second = launchDaemon(options);
    await second.ready();
    await importBlocks(second, 3);
  });

  test('silent when it is told to end: a supervisor whose daemon lives ends all the same, one without, and one whose daemon waits', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state'));
    const options = { stateDirectory: scratch.at('state'), directory: scratch.at('run') };
    await using living = launchDaemon(options);
    await living.ready();
    await disk.fallSilent(living.daemonPid);
    await stopsInTime(living);
    disk.answer();
    await using daemon = launchDaemon(options);
    await daemon.ready();
    await disk.fallSilent(daemon.daemonPid);
    process.kill(daemon.daemonPid, 'SIGKILL');
    await logged(daemon, waitedFor(scratch.at('state')));
    await stopsInTime(daemon);
    await using second = launchDaemon(options);
    await logged(second, 'the disk of the state directory does not answer: waiting for it');
    await stopsInTime(second);
  });

  test('slow, so that it answers for a tenth of the time: readers go on, calls are answered, the daemon stays the same', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state'));
    const { daemon: served, readSome } = await serve(scratch.at('state'));
    await using daemon = served;
    const pid = daemon.daemonPid;
    {
      using _stutter = disk.stutter(STUTTER_MS);
      for (let times = 0; times < 3; times++) {
        await readSome();
        await answers(daemon);
      }
      await daemon.create('meanwhile', roots[0] as CID);
      await importBlocks(daemon, 2);
    }
    await worksAgain(daemon);
    expect(daemon.daemonPid).toBe(pid);
  });

  test('silent under the cache alone: readers of what is cached go on from the source', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('state', 'cache'));
    const { daemon: served, readSome } = await serve(scratch.at('state'));
    await using daemon = served;
    const pid = daemon.daemonPid;
    await unasked(daemon);
    await disk.fallSilent();
    for (let times = 0; times < 3; times++) {
      await readSome();
      await answers(daemon);
    }
    await daemon.mount('meanwhile', roots[0] as CID);
    await daemon.remove('meanwhile');
    await logged(daemon, 'the disk cache cannot be written: going on without it until it can');
    disk.answer();
    await logged(daemon, 'the disk cache works again');
    await readSome();
    expect(daemon.daemonPid).toBe(pid);
  });
});
