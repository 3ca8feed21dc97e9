/**
 * A daemon dies while the disk of its state fails: no other can come up. The supervisor keeps the mount all the same, says what
 * is wrong, holds nothing of that disk open, and all goes on once it is mended.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shell, start } from '../fuse/outside.ts';
import { type BlockGateway, startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';
import { read, sha256 } from '../support/reading.ts';
import { RealDisk } from './support/real-disk.ts';

const DISK_BYTES = 128 * 1024 ** 2;
/** Five seconds, on a machine that does other things too; a call of Docker's waits 50. */
const TOLD_WITHIN_MS = 20_000;
const SAID = 'the state cannot be used, and no daemon serves until it can';

describeWith(['root', 'fuse'], 'a disk that fails under a daemon that dies', () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const bytes = Buffer.alloc(300_000, 'content ');
  const absent = dag.raw(Buffer.from('never comes'));
  const hidden = dag.directory([]);
  const root = dag.directory([
    { name: 'absent', cid: absent, tsize: 11 },
    { name: 'first', cid: dag.raw(Buffer.from('first')), tsize: 5 },
    { name: 'hidden', cid: hidden },
    { name: 'file', cid: dag.raw(bytes), tsize: bytes.length },
  ]);
  let gateway: BlockGateway;

  beforeAll(async () => {
    gateway = await startBlockGateway(blocks);
    gateway.hold = (cid) => ([absent, hidden].map(String).includes(cid) ? new Promise(() => undefined) : undefined);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  test.each<[string, (disk: RealDisk) => Promise<void>, string[], RegExp]>([
    ['read-only after an error of its file system', (disk) => disk.turnReadOnly(), ['state'], /cannot be used: EROFS/],
    ['EIO for everything', (disk) => disk.die(), ['state'], /cannot be used: EIO/],
    ['taken away', (disk) => disk.detach(), [], /cannot be used: another directory is in its place/],
  ])('%s: whoever reads waits and can be killed, and reads on once it is mended', async (how, fail, state, why) => {
    await using disk = await RealDisk.make(DISK_BYTES);
    await using daemon = await startDaemon({
      gateways: [gateway.url],
      stateDirectory: disk.at(...state),
      settings: { PREFETCH: 'none' },
    });
    const mountpoint = await daemon.mount('data', root);
    const supervisor = daemon.pid;
    await shell('cat "$1/first"', mountpoint);
    const waiting = [start('cat', join(mountpoint, 'absent')), start('ls', join(mountpoint, 'hidden'))];
    await until('both wait', async () => (await daemon.status('data')).waiting?.readers === 2);
    await fail(disk);

    // One that serves is not given up for one that could not.
    const before = daemon.daemonPid;
    process.kill(supervisor, 'SIGHUP');
    await logged(daemon, 'the daemon is not replaced: another one could not use the state directory');
    expect(daemon.daemonPid).toBe(before);

    process.kill(before, 'SIGKILL');
    await logged(daemon, SAID);
    expect(daemon.log.find((line) => line.includes(SAID))).toMatch(why);
    const reading = read(join(mountpoint, 'file'));
    const listing = daemon.call<{ Volumes: { Name: string }[] }>('List', {});
    listing.catch(() => undefined);
    for (const { child } of waiting) child.kill('SIGKILL');
    await until('who was killed is gone', () => waiting.every(({ child }) => child.signalCode === 'SIGKILL'));

    if (how === 'taken away') {
      // Whoever asks by a command is told soon.
      const begunMs = performance.now();
      await expect(daemon.daemonStatus()).rejects.toThrow(why);
      expect(performance.now() - begunMs).toBeLessThan(TOLD_WITHIN_MS);
      expect(readdirSync(disk.path)).toEqual([]);
    } else await until('nobody holds the disk', () => disk.unmount());
    await disk.attach();
    expect((await reading).result).toBe(sha256(bytes));
    expect((await listing).Volumes.map(({ Name }) => Name)).toEqual(['data']);
    expect((await daemon.status('data')).mounts).toBe(1);
    await logged(daemon, 'the state can be used again');
    expect(daemon.pid).toBe(supervisor);
    await daemon.create('afterwards', root);
  });

  test('left by a newer program, or with a damaged store: likewise, until it is put right', async () => {
    await using daemon = await startDaemon({ gateways: [gateway.url], settings: { PREFETCH: 'none' } });
    const mountpoint = await daemon.mount('data', root);
    const state = join(daemon.stateDirectory, 'volumes.json');
    const store = join(daemon.stateDirectory, 'store');
    const makeStore = () => {
      mkdirSync(store);
      writeFileSync(join(store, 'blocks.db'), 'no database '.repeat(1000));
    };
    const spoilt: [string, () => void, RegExp][] = [
      [state, () => writeFileSync(state, '{"version":99,"volumes":[]}'), /is of version 99, and this program knows/],
      [store, makeStore, /the local store in .* is damaged: move it away/],
    ];
    for (const [path, spoil, why] of spoilt) {
      const supervisor = daemon.pid;
      const from = daemon.log.length;
      renameSync(path, `${path}.aside`);
      spoil();
      process.kill(daemon.daemonPid, 'SIGKILL');
      expect((await logged(daemon, SAID, from)).error).toMatch(why);
      const reading = read(join(mountpoint, 'file'));
      rmSync(path, { recursive: true });
      renameSync(`${path}.aside`, path);
      expect((await reading).result).toBe(sha256(bytes));
      expect((await daemon.status('data')).mounts).toBe(1);
      expect(daemon.pid).toBe(supervisor);
      await shell('echo 1 > /proc/sys/vm/drop_caches');
    }
  });
});
