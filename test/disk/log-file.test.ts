/**
 * A daemon whose log is a file, on a disk that hangs or fills: readers, calls, replacements and the end wait for none of it, and
 * what was said meanwhile is there afterwards.
 */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Scratch } from '../cli/support/scratch.ts';
import { start } from '../fuse/outside.ts';
import { type BlockGateway, startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { expectLossesSaid, linesOf, logTo } from '../support/logging.ts';
import { describeWith } from '../support/machine.ts';
import { RealDisk } from './support/real-disk.ts';
import { SilentDisk } from './support/silent-disk.ts';

const MIB = 1024 ** 2;
/** Five seconds are promised; as many again are for a machine that does other things too. Docker and systemd wait no longer. */
const STOP_LIMIT_MS = 10_000;

describeWith(['root', 'fuse'], 'a log that is a file on a disk that hangs', () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const names = ['first', 'second', 'third'];
  const root = dag.directory(names.map((name) => ({ name, cid: dag.raw(Buffer.from(name)), tsize: name.length })));
  let gateway: BlockGateway;

  beforeAll(async () => {
    gateway = await startBlockGateway(blocks);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  /** Its log and its stderr in that file. */
  function servedInto(log: string) {
    return startDaemon({
      gateways: [gateway.url],
      settings: { PREFETCH: 'none', LOG_LEVEL: 'debug' },
      launcher: ['bash', '-c', 'exec "$@" >>"$LOG" 2>&1', 'bash'],
      environment: { LOG: log },
    });
  }

  async function readOf(mountpoint: string, name: string): Promise<string> {
    return (await start('cat', join(mountpoint, name)).outcome).stdout.toString();
  }

  /** Reads, calls, a replacement and a death, of which each leaves something in the log. */
  async function goesOn(daemon: TestDaemon, mountpoint: string): Promise<void> {
    expect(await readOf(mountpoint, 'first')).toBe('first');
    expect((await daemon.status('data')).mounts).toBe(1);
    for (const end of [() => process.kill(daemon.pid, 'SIGHUP'), () => process.kill(daemon.daemonPid, 'SIGKILL')]) {
      const { daemonPid } = daemon;
      end();
      await until('its daemon is gone', () => !existsSync(`/proc/${daemonPid}`));
      expect((await daemon.status('data')).mounts).toBe(1);
    }
    expect(await readOf(mountpoint, 'second')).toBe('second');
  }

  it('holds up nobody, and has it all once the disk answers', async () => {
    await using disk = await RealDisk.make(64 * MIB);
    const log = disk.at('log');
    await using daemon = await servedInto(log);
    const mountpoint = await daemon.mount('data', root);
    await disk.freeze();
    await goesOn(daemon, mountpoint);
    await disk.thaw();
    await until('all is in the log', () => readFileSync(log, 'utf8').includes('"the daemon died"'));
    expect(await daemon.stop()).toBe(0);
    const said = linesOf(readFileSync(log, 'utf8')).map(({ msg }) => msg);
    for (const msg of [
      'serving',
      'replacing the daemon',
      'the daemon has made room for another',
      'the daemon died',
      'stopping',
    ])
      expect(said).toContain(msg);
    expect(said.filter((msg) => msg === 'daemon started')).toHaveLength(3);
  });

  it('ends at SIGTERM all the same, and leaves nothing', async () => {
    using scratch = new Scratch();
    await using disk = await SilentDisk.make(scratch.at('behind'), scratch.at('disk'));
    await using daemon = await servedInto(scratch.at('disk', 'log'));
    const mountpoint = await daemon.mount('data', root);
    await disk.fallSilent(daemon.pid);
    await goesOn(daemon, mountpoint);
    const before = performance.now();
    await daemon.stop();
    expect(performance.now() - before).toBeLessThan(STOP_LIMIT_MS);
  });

  it('ends but for its process, where the kernel is in the middle of a write, which ends once the disk answers', async () => {
    await using disk = await RealDisk.make(64 * MIB);
    await using daemon = await servedInto(disk.at('log'));
    const mountpoint = await daemon.mount('data', root);
    await disk.freeze();
    await goesOn(daemon, mountpoint);
    const { daemonPid } = daemon;
    const stopped = daemon.stop();
    const left = () =>
      existsSync(daemon.socketPath) ||
      existsSync(`/proc/${daemonPid}`) ||
      readFileSync('/proc/self/mountinfo', 'utf8').includes(daemon.mountRoot);
    await until('nothing else is left', () => !left(), STOP_LIMIT_MS);
    await disk.thaw();
    await stopped;
  });

  it('takes no more memory than its bound, and says afterwards what was lost', async () => {
    await using disk = await RealDisk.make(64 * MIB);
    const log = disk.at('log');
    const file = openSync(log, 'a');
    await disk.freeze();
    const { said, code } = logTo(file);
    expect(await said).toBe('goes on');
    await disk.thaw();
    closeSync(file);
    expect(await code).toBe(0);
    expectLossesSaid(readFileSync(log, 'utf8'));
  });
});
