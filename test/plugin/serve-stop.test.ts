/**
 * How `serve` ends and begins again: asked to, killed, unmounted behind its back, or in the way of another.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runDirectoryOf } from '../../plugin/supervisor/run-directory.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { start } from '../fuse/outside.ts';
import { startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { launchDaemon, startDaemon, TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
/** Five seconds are promised; as many again are for a machine that does other things too. Docker and systemd wait no longer. */
const STOP_LIMIT_MS = 10_000;
/** Against hangs. */
const START_LIMIT_MS = 30_000;

const ROOM_MADE = 'the daemon has made room for another';

describeWith(['root', 'fuse'], 'serve', () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const absent = dag.raw(Buffer.from('never comes'));
  const silent = dag.directory([{ name: 'never', cid: absent }]);
  const root = dag.directory([
    { name: 'text', cid: dag.raw(Buffer.from('hello')), tsize: 5 },
    { name: 'absent', cid: absent, tsize: 11 },
  ]);
  let gateway: Awaited<ReturnType<typeof startBlockGateway>>;
  const served = () => startDaemon({ gateways: [gateway.url], settings: { READ_TIMEOUT: '60s', PREFETCH: 'none' } });

  beforeAll(async () => {
    gateway = await startBlockGateway(blocks);
    const held = [absent.toString(), silent.toString()];
    gateway.hold = (cid) => (held.includes(cid) ? new Promise(() => undefined) : undefined);
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  async function waitingReader(daemon: TestDaemon, mountpoint: string) {
    const reader = start('cat', join(mountpoint, 'absent'));
    await until('it waits', async () => ((await daemon.status('data')).waiting?.readers ?? 0) > 0);
    return reader;
  }

  it.each<[string, (daemon: TestDaemon, mountpoint: string) => unknown]>([
    ['a read waits for a source that says nothing', waitingReader],
    ['the daemon does not move', (daemon) => process.kill(daemon.daemonPid, 'SIGSTOP')],
    [
      'the daemon does not move, and a read waits',
      async (daemon, mountpoint) => {
        await waitingReader(daemon, mountpoint);
        process.kill(daemon.daemonPid, 'SIGSTOP');
      },
    ],
    [
      'a Mount waits for its root',
      async (daemon) => {
        await daemon.create('waits', silent);
        daemon.call('Mount', { Name: 'waits', ID: 'a' }).catch(() => undefined);
        await until('its root is asked for', () => gateway.asked.includes(silent.toString()));
      },
    ],
    [
      'somebody holds the socket and says nothing',
      async (daemon) => {
        const socket = connect(daemon.socketPath);
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        socket.write('POST /VolumeDriver.List HTTP/1.1\r\nHost: docker\r\nContent-Length: 100\r\n\r\n{');
      },
    ],
    ['the daemon has just been killed', (daemon) => process.kill(daemon.daemonPid, 'SIGKILL')],
  ])('ends at SIGTERM though %s, and leaves nothing', async (_what, hinder) => {
    await using daemon = await served();
    const mountpoint = await daemon.mount('data', root);
    const hindered = await hinder(daemon, mountpoint);
    const before = performance.now();
    expect(await daemon.stop()).toBe(0);
    expect(performance.now() - before).toBeLessThan(STOP_LIMIT_MS);
    expect(existsSync(runDirectoryOf(daemon.stateDirectory))).toBe(false);
    if (typeof hindered === 'object' && hindered !== null && 'outcome' in hindered) {
      const { outcome } = hindered as ReturnType<typeof start>;
      expect((await outcome).code).toBe(1);
    }
  });

  it('killed itself, takes its daemon along; the next one clears away what it left, with every mount at zero', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'daemon-'));
    const settings = { READ_TIMEOUT: '60s', PREFETCH: 'none' };
    const first = await startDaemon({ directory, gateways: [gateway.url], settings });
    const mountpoint = await first.mount('data', root);
    expect((await start('cat', join(mountpoint, 'text')).outcome).stdout.toString()).toBe('hello');
    const { daemonPid } = first;
    process.kill(first.pid, 'SIGKILL');
    await until('its daemon is gone', () => !existsSync(`/proc/${daemonPid}`));
    expect((await start('cat', join(mountpoint, 'text')).outcome).stderr).toContain('not connected');
    expect(existsSync(first.socketPath)).toBe(true);

    await using second = await startDaemon({ directory, gateways: [gateway.url], settings });
    await logged(second, 'detached a mount that a dead daemon left behind');
    expect((await second.status('data')).mounts).toBe(0);
    await second.call('Mount', { Name: 'data', ID: 'b' });
    expect((await start('cat', join(mountpoint, 'text')).outcome).stdout.toString()).toBe('hello');
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    expect(mounts.filter((line) => line.includes(` ${second.mountRoot} `)).length).toBe(1);
    await second.stop();
    rmSync(directory, { recursive: true });
  });

  it('clears away what others left that were killed, whatever their state directory, and nothing of those that live', async () => {
    await using living = await startDaemon();
    const directory = mkdtempSync(join(tmpdir(), 'daemon-'));
    const killed = await startDaemon({ directory });
    const { daemonPid } = killed;
    process.kill(killed.pid, 'SIGKILL');
    await until('its daemon is gone', () => !existsSync(`/proc/${daemonPid}`));
    expect(existsSync(runDirectoryOf(killed.stateDirectory))).toBe(true);
    await using _next = await startDaemon();
    expect(existsSync(runDirectoryOf(killed.stateDirectory))).toBe(false);
    expect(existsSync(runDirectoryOf(living.stateDirectory))).toBe(true);
    expect(await living.call('List', {})).toMatchObject({ Volumes: [] });
    await start('umount', '--lazy', killed.mountRoot).outcome;
    rmSync(directory, { recursive: true });
  });

  it('waits for a daemon that outlived its supervisor, which ends as soon as it can', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'daemon-'));
    const first = await startDaemon({ directory });
    const { daemonPid } = first;
    process.kill(daemonPid, 'SIGSTOP');
    process.kill(first.pid, 'SIGKILL');
    await until('the supervisor is gone', () => !existsSync(`/proc/${first.pid}/exe`));
    const second = new TestDaemon(directory, false, {});
    try {
      await until('it is refused', () => second.log.some((line) => line.includes('is in use by another ipfs-volume')));
      process.kill(daemonPid, 'SIGCONT');
      await until('the old one is gone', () => !existsSync(`/proc/${daemonPid}/exe`));
      await second.ready();
      await second.stop();
    } finally {
      await second[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    }
  });

  it('goes on after a defect of its own, and says so', async () => {
    const preload = encodeURIComponent('process.on("SIGUSR2", () => { throw new Error("a defect") })');
    await using daemon = await startDaemon({
      gateways: [gateway.url],
      environment: { NODE_OPTIONS: `--import=data:text/javascript,${preload}` },
      settings: { PREFETCH: 'none' },
    });
    const mountpoint = await daemon.mount('data', root);
    process.kill(daemon.pid, 'SIGUSR2');
    expect((await logged(daemon, 'a defect of the supervisor, which goes on')).stack).toContain('a defect');
    expect((await start('cat', join(mountpoint, 'text')).outcome).stdout.toString()).toBe('hello');
    expect((await daemon.status('data')).mounts).toBe(1);
    expect(await daemon.stop()).toBe(0);
  });

  it('replaces one daemon after the other, each of which serves, however often it is asked to', async () => {
    await using daemon = await served();
    const mountpoint = await daemon.mount('data', root);
    const storm = setInterval(() => process.kill(daemon.pid, 'SIGHUP'), 20);
    try {
      const replaced = () => daemon.log.filter((line) => line.includes(ROOM_MADE)).length;
      for (const times of [1, 2, 3]) {
        await until(`the daemon was replaced ${times} times`, () => replaced() >= times);
        expect((await daemon.status('data')).mounts).toBe(1);
        expect((await start('ls', mountpoint).outcome).code).toBe(0);
      }
      const before = replaced();
      await until('two more came', () => replaced() >= before + 2);
      // Each of them served for a second.
      const [first = '', second = ''] = daemon.log.filter((line) => line.includes(ROOM_MADE)).slice(-2);
      const timeOf = (line: string) => Date.parse(JSON.parse(line).time);
      expect(timeOf(second) - timeOf(first)).toBeGreaterThan(900);
    } finally {
      clearInterval(storm);
    }
    const asked = () => daemon.log.filter((line) => line.includes('replacing the daemon')).length;
    const atEnd = asked();
    await until('the last one has come', async () => (await daemon.status('data')).mounts === 1);
    expect(await daemon.stop()).toBe(0);
    // The one that was remembered.
    expect(asked() - atEnd).toBeLessThanOrEqual(1);
  });

  it('goes on where whoever reads its log has gone', async () => {
    // The pipe's reader takes one byte, and ends.
    await using daemon = await startDaemon({
      gateways: [gateway.url],
      launcher: ['bash', '-c', 'exec "$@" 1> >(head --bytes=1 >/dev/null)', 'bash'],
      settings: { LOG_LEVEL: 'debug', PREFETCH: 'none' },
    });
    const mountpoint = await daemon.mount('data', root);
    const pids = [daemon.pid, daemon.daemonPid];
    for (let times = 0; times < 20; times++) await daemon.call('List', {});
    expect((await start('cat', join(mountpoint, 'text')).outcome).stdout.toString()).toBe('hello');
    expect([daemon.pid, daemon.daemonPid]).toEqual(pids);
    process.kill(daemon.daemonPid, 'SIGKILL');
    expect((await daemon.status('data')).mounts).toBe(1);
  });

  it('ends as well in the middle of its start, with its mount just made', async () => {
    for (let times = 0; times < 3; times++) {
      using scratch = new Scratch();
      await using daemon = launchDaemon({ directory: scratch.path });
      const limit = performance.now() + START_LIMIT_MS;
      // Without a pause: what follows the mount takes a few milliseconds.
      while (performance.now() < limit && !readFileSync('/proc/self/mounts', 'utf8').includes(` ${daemon.mountRoot} `));
      expect(await daemon.stop()).toBe(0);
    }
  });

  /** What a `serve` says that is refused. */
  async function refusal(settings: { stateDirectory: string; mountRoot: string; socketPath: string }) {
    const second = spawn(process.execPath, [CLI, 'serve'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        IPFS_VOLUME_STATE_DIR: settings.stateDirectory,
        IPFS_VOLUME_MOUNT_ROOT: settings.mountRoot,
        IPFS_VOLUME_SOCKET: settings.socketPath,
      },
    });
    let said = '';
    second.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const limit = setTimeout(() => second.kill('SIGKILL'), 30_000);
    const [code] = await once(second, 'close');
    clearTimeout(limit);
    expect(code).toBe(1);
    return said;
  }

  it('says how many open files it needs where it may have fewer, and leaves nothing', async () => {
    using scratch = new Scratch();
    const daemon = launchDaemon({
      directory: scratch.path,
      launcher: ['bash', '-c', 'ulimit -n 32; exec "$@"', 'bash'],
    });
    await until('it has ended', () => !existsSync(`/proc/${daemon.pid}/exe`));
    expect(await daemon.stop()).toBe(1);
    expect(daemon.log).toEqual([
      'ipfs-volume: 32 open files are too few, 256 are needed: raise the limit ("ulimit -n", or LimitNOFILE= of a systemd unit)',
    ]);
    expect(existsSync(daemon.stateDirectory)).toBe(false);
  });

  it('refuses a state directory, a mount root or a socket that is in use, and does not touch what is there', async () => {
    await using daemon = await served();
    const mountpoint = await daemon.mount('data', root);
    const { stateDirectory, mountRoot, socketPath } = daemon;
    const other = mkdtempSync(join(tmpdir(), 'daemon-'));
    const others = {
      stateDirectory: join(other, 'state'),
      mountRoot: join(other, 'deep/mnt'),
      socketPath: join(other, 's'),
    };
    expect(await refusal({ stateDirectory, mountRoot, socketPath })).toBe(
      `ipfs-volume: the state directory ${stateDirectory} is in use by another ipfs-volume: ` +
        'stop it, or set IPFS_VOLUME_STATE_DIR to another\n',
    );
    symlinkSync(mountRoot, join(other, 'alias'));
    for (const alias of [mountRoot, join(other, 'alias')]) {
      expect(await refusal({ ...others, mountRoot: alias })).toBe(
        `ipfs-volume: the mount root ${mountRoot} is in use by another ipfs-volume ` +
          `(process ${daemon.pid}, socket ${socketPath}, state directory ${stateDirectory}): ` +
          'stop it, or set IPFS_VOLUME_MOUNT_ROOT to another\n',
      );
    }
    expect(await refusal({ ...others, mountRoot: daemon.directory })).toContain(
      `on ${mountRoot} is a FUSE mount that another program serves`,
    );
    expect(await refusal({ ...others, socketPath })).toContain(`another daemon answers on ${socketPath}`);
    expect(existsSync(join(other, 'deep'))).toBe(false);
    expect((await start('cat', join(mountpoint, 'text')).outcome).stdout.toString()).toBe('hello');
    expect((await daemon.status('data')).mounts).toBe(1);
    rmSync(other, { recursive: true });
  });

  it('ends, and says so, when somebody unmounts what it serves', async () => {
    await using daemon = await served();
    await daemon.mount('data', root);
    expect((await start('umount', '--lazy', daemon.mountRoot).outcome).code).toBe(0);
    await until('it has ended', () => !existsSync(`/proc/${daemon.pid}/exe`));
    expect(await daemon.stop()).toBe(1);
    expect(daemon.log.join('\n')).toContain('giving up: the mount is gone, and no daemon can serve it any more');
  });
});
