/**
 * packaging/ipfs-volume.service under a real systemd, as an administrator has it: installed as the README says, enabled,
 * reloaded, killed, misconfigured and stopped.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { DaemonClient } from '../../src/cli/daemon-client.ts';
import { parseMountEntries } from '../../src/fuse/mount-table.ts';
import { run, start } from '../fuse/outside.ts';
import { startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';
import { BootedSystemd } from './support/booted-systemd.ts';

const SERVICE = 'ipfs-volume';
const STATE = '/var/lib/ipfs-volume';
const SOCKET = '/run/docker/plugins/ipfs.sock';
/** Five seconds are promised; as many again are for a machine that does other things too. Docker and systemd wait no longer. */
const STOP_LIMIT_MS = 10_000;
/** Keeps daemons from their state, as one that hangs would. */
const HOLD_DAEMON_LOCK = `
  new (require('node:sqlite').DatabaseSync)('${STATE}/daemon.db').exec('BEGIN EXCLUSIVE');
  require('node:fs').writeFileSync('/run/held', '');
  setInterval(() => undefined, 1e6);
`;

describeWith(['root', 'fuse', 'systemd'], 'the systemd unit', () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const absent = dag.raw(Buffer.from('never comes'));
  const root = dag.directory([
    { name: 'text', cid: dag.raw(Buffer.from('hello')), tsize: 5 },
    { name: 'other', cid: dag.raw(Buffer.from('world')), tsize: 5 },
    { name: 'absent', cid: absent, tsize: 11 },
  ]);
  let gateway: Awaited<ReturnType<typeof startBlockGateway>>;
  let systemd: BootedSystemd;
  let settings: string;

  beforeAll(async () => {
    gateway = await startBlockGateway(blocks);
    gateway.hold = (cid) => (cid === absent.toString() ? new Promise(() => undefined) : undefined);
    systemd = await BootedSystemd.boot();
    settings = `IPFS_VOLUME_KUBO_RPC=\nIPFS_VOLUME_GATEWAYS=${gateway.url}\nIPFS_VOLUME_PREFETCH=none\n`;
    await configure(settings);
  });
  // All tests together start it more often than systemd allows in ten seconds.
  beforeEach(() => systemd.systemctl('reset-failed'));
  afterAll(async () => {
    await systemd?.[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
  });

  const configure = (text: string) => writeFile(systemd.at(`/etc/default/${SERVICE}`), text);

  /** One call of Docker's. */
  async function call<T = object>(verb: string, body: object): Promise<T> {
    await using client = new DaemonClient(systemd.at(SOCKET));
    return await client.volumeDriver<T>(verb, body);
  }

  /** A volume of `root`, mounted; gives its directory, as it is seen by process 1. */
  async function mounted(): Promise<string> {
    await call('Create', { Name: 'data', Opts: { cid: root.toString() } });
    const { Mountpoint } = await call<{ Mountpoint: string }>('Mount', { Name: 'data', ID: 'a' });
    return systemd.at(Mountpoint);
  }

  const contentOf = async (path: string) => (await run('cat', path)).stdout.toString();
  const kill = (signal: string, pid: string) => systemd.run('kill', `-${signal}`, pid);

  /** The daemon's, as it is numbered in there: the supervisor's only lasting child. */
  async function daemonPid(): Promise<string> {
    const { stdout } = await systemd.run('pgrep', '--parent', await systemd.property('MainPID'), '--full', ' daemon$');
    return stdout.toString().trim();
  }

  it('is well-formed, and starts what answers before systemctl returns', async () => {
    const verified = await systemd.run('systemd-analyze', 'verify', `/etc/systemd/system/${SERVICE}.service`);
    expect(verified.code).toBe(0);
    // What it says of the machine's own units is none of ours.
    expect(verified.stderr).not.toContain(SERVICE);
    await systemd.systemctl('enable', '--now', SERVICE);
    expect(existsSync(systemd.at(SOCKET))).toBe(true);
    expect(await systemd.property('ActiveState')).toBe('active');
    expect(await call('List', {})).toMatchObject({ Volumes: [] });
    const { code, stdout } = await systemd.run('ipfs-volume', 'doctor');
    expect(stdout.toString()).toMatch(/^ok +mount +/m);
    expect(code).toBe(0);
  });

  it('is in no mount namespace of its own, so that everybody sees what it mounts', async () => {
    expect(await contentOf(`${await mounted()}/text`)).toBe('hello');
    const [mount, ...more] = parseMountEntries(readFileSync(`/proc/${systemd.pid}/mountinfo`, 'latin1'));
    expect(mount).toMatchObject({ point: `${STATE}/mnt`, source: 'ipfs-volume' });
    expect(more).toEqual([]);
  });

  it('is not said to have started while no daemon answers', async () => {
    await systemd.systemctl('stop', SERVICE);
    await systemd.run('systemd-run', '--unit', 'holder', '/usr/local/bin/node', '-e', HOLD_DAEMON_LOCK);
    await until('the lock is held', () => existsSync(systemd.at('/run/held')));
    await systemd.systemctl('start', '--no-block', SERVICE);
    await until('a daemon was refused', async () => (await systemd.journal()).includes('the state cannot be used'));
    expect(existsSync(systemd.at(SOCKET))).toBe(true);
    expect(await systemd.property('ActiveState')).toBe('activating');
    await systemd.systemctl('stop', 'holder');
    await until('it has started', async () => (await systemd.property('ActiveState')) === 'active');
    expect(await contentOf(`${await mounted()}/text`)).toBe('hello');
  });

  it('has systemctl fail on a setting that cannot be read, and the journal name it', async () => {
    await configure(`${settings}IPFS_VOLUME_CACHE_SIZE=ten\n`);
    try {
      const { code, stderr } = await systemd.run('systemctl', 'restart', SERVICE);
      expect(code).toBe(1);
      expect(stderr).toContain(`Job for ${SERVICE}.service failed`);
      expect(await systemd.journal()).toMatch(/^ipfs-volume: .*IPFS_VOLUME_CACHE_SIZE/m);
    } finally {
      await configure(settings);
    }
    // It is tried again by itself.
    await until('it has started', async () => (await systemd.property('ActiveState')) === 'active');
  });

  it('goes on when its daemon is killed or, by a reload, replaced, and so does a reader', async () => {
    const mountpoint = await mounted();
    const reader = spawn('sh', ['-c', 'exec 3<"$1"; echo open; read -r line; cat <&3', 'sh', `${mountpoint}/text`]);
    let read = '';
    reader.stdout.setEncoding('utf8').on('data', (text: string) => {
      read += text;
    });
    await until('the file is open', () => read === 'open\n');
    const supervisor = await systemd.property('MainPID');
    const restarts = await systemd.property('NRestarts');
    for (const replace of [(pid: string) => kill('KILL', pid), () => systemd.systemctl('reload', SERVICE)]) {
      const before = await daemonPid();
      await replace(before);
      await until('there is another daemon', async () => ![before, ''].includes(await daemonPid()));
    }
    reader.stdin.end('\n');
    await once(reader, 'close');
    expect(read).toBe('open\nhello');
    expect(await contentOf(`${mountpoint}/other`)).toBe('world');
    expect(await systemd.property('MainPID')).toBe(supervisor);
    expect(await systemd.property('NRestarts')).toBe(restarts);
  });

  it('is started anew when its supervisor is killed, with one mount', async () => {
    await mounted();
    const daemon = await daemonPid();
    const supervisor = await systemd.property('MainPID');
    await kill('KILL', supervisor);
    await until('it has started', async () => {
      return (await systemd.property('MainPID')) !== supervisor && (await systemd.property('ActiveState')) === 'active';
    });
    expect((await systemd.run('ps', '-o', 'pid=', '-p', daemon)).stdout.toString()).toBe('');
    const points = parseMountEntries(readFileSync(`/proc/${systemd.pid}/mountinfo`, 'latin1')).map(
      ({ point }) => point,
    );
    expect(points).toEqual([`${STATE}/mnt`]);
    expect(await contentOf(`${await mounted()}/text`)).toBe('hello');
  });

  it('has doctor say that nobody sees its mount, where somebody gave it a namespace of its own', async () => {
    const directory = systemd.at(`/etc/systemd/system/${SERVICE}.service.d`);
    await mkdir(directory);
    await writeFile(`${directory}/namespace.conf`, '[Service]\nPrivateTmp=yes\n');
    try {
      await systemd.systemctl('daemon-reload');
      await systemd.systemctl('restart', SERVICE);
      const { stdout } = await systemd.run('ipfs-volume', 'doctor');
      expect(stdout.toString()).toMatch(
        /^warning +mount +what the daemon mounts on \S+ is not seen from here\n.*PrivateTmp/m,
      );
    } finally {
      await rm(directory, { recursive: true });
      await systemd.systemctl('daemon-reload');
      await systemd.systemctl('restart', SERVICE);
    }
  });

  it('stops within five seconds though a reader waits, and leaves nothing', async () => {
    const directory = await mounted();
    const asked = gateway.asked.length;
    const reader = start('cat', `${directory}/absent`);
    await until('the block is asked for', () => gateway.asked.indexOf(absent.toString(), asked) >= 0);
    const before = performance.now();
    await systemd.systemctl('stop', SERVICE);
    expect(performance.now() - before).toBeLessThan(STOP_LIMIT_MS);
    expect((await reader.outcome).code).toBe(1);
    expect(await systemd.property('Result')).toBe('success');
    expect(existsSync(systemd.at(SOCKET))).toBe(false);
    expect(parseMountEntries(readFileSync(`/proc/${systemd.pid}/mountinfo`, 'latin1'))).toEqual([]);
    expect((await systemd.run('pgrep', '--full', 'ipfs-volume (serve|daemon)$')).stdout.toString()).toBe('');
  });
});
