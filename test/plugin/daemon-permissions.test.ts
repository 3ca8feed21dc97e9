/** Who may do what on the machine: files and the socket are root's alone, no port is open, no capability but one is needed. */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { describeWith } from '../support/machine.ts';
import { makeBlock } from '../support/make-block.ts';

const SMALL_CAR = carOf(makeBlock('hello'));

/** A CARv1 of one raw block of a few bytes (ipld.io/specs/transport/car/carv1): every length fits in one byte. */
function carOf({ cid, bytes }: ReturnType<typeof makeBlock>): Buffer {
  const root = Buffer.concat([Buffer.from([0xd8, 0x2a, 0x58, cid.bytes.length + 1, 0]), cid.bytes]);
  const header = Buffer.concat([Buffer.from([0xa2, 0x65]), Buffer.from('roots'), Buffer.from([0x81]), root]);
  const version = Buffer.concat([Buffer.from([0x67]), Buffer.from('version'), Buffer.from([1])]);
  const block = Buffer.concat([cid.bytes, bytes]);
  const section = (body: Buffer) => Buffer.concat([Buffer.from([body.length]), body]);
  return Buffer.concat([section(Buffer.concat([header, version])), section(block)]);
}

/** Imports a block and mounts it, so that everything that a daemon makes on the disk is there. */
async function use(daemon: TestDaemon): Promise<string> {
  await using client = daemon.client();
  const { Readable } = await import('node:stream');
  const { roots } = await client.import(Readable.from([SMALL_CAR]));
  return await daemon.mount('volume', roots[0] ?? '');
}

/** Whom the kernel lets listen, of this process and its children: `ss` shows sockets by the processes that hold them. */
function listening(pids: readonly number[]): string[] {
  const { stdout } = spawnSync('ss', ['-ltunpH'], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => pids.some((pid) => line.includes(`pid=${pid},`)));
}

describeWith(['root', 'fuse'], 'a daemon', () => {
  it('keeps its socket, its state and its run directory to root, whatever the umask is', async () => {
    await using daemon = await startDaemon({ launcher: ['sh', '-c', 'umask 0; exec "$@"', 'sh'] });
    await use(daemon);
    const modes = new Map<string, string>();
    const visit = (path: string): void => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      // Written beside its place, and renamed meanwhile.
      if (!stat) return;
      modes.set(path, `${stat.uid} ${(stat.mode & 0o7777).toString(8)} ${stat.isDirectory() ? 'directory' : 'file'}`);
      if (stat.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
    };
    visit(daemon.stateDirectory);
    const environment = readFileSync(`/proc/${daemon.daemonPid}/environ`, 'utf8').split('\0');
    const internal = environment.find((line) => line.startsWith('IPFS_VOLUME_DAEMON_SOCKET='))?.split('=')[1] ?? '';
    visit(join(internal, '..'));
    modes.set(
      daemon.socketPath,
      `${lstatSync(daemon.socketPath).uid} ${(lstatSync(daemon.socketPath).mode & 0o7777).toString(8)} file`,
    );
    expect([...modes.keys()].map((path) => path.split('/').at(-1))).toEqual(
      expect.arrayContaining(['volumes.json', 'lock.db', 'blocks.db', 'ipfs.sock', 'cache', 'store', 'profiles']),
    );
    const open = [...modes].filter(([, mode]) => !['0 600 file', '0 700 directory'].includes(mode));
    expect(open).toEqual([]);
  });

  it('listens on no port, and for metrics on loopback alone', async () => {
    await using daemon = await startDaemon();
    await use(daemon);
    expect(listening([daemon.pid, daemon.daemonPid])).toEqual([]);
    await daemon.stop();
    await using measured = await startDaemon({ settings: { METRICS: ':0' } });
    const lines = listening([measured.pid, measured.daemonPid]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/\b127\.0\.0\.1:\d+\b/);
  });

  it('opens no debugger and does not end by a signal that means nothing to it', async () => {
    await using daemon = await startDaemon();
    const path = await use(daemon);
    const pids = [daemon.pid, daemon.daemonPid];
    for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const) {
      for (const pid of pids) process.kill(pid, signal);
    }
    // A call each: both have had their turn, in which the signals were delivered.
    for (let times = 0; times < 5; times++) await daemon.call('List', {});
    expect(listening(pids)).toEqual([]);
    expect([daemon.pid, daemon.daemonPid]).toEqual(pids);
    expect(spawnSync('cat', [path], { encoding: 'utf8' }).stdout).toBe('hello');
    expect(daemon.log.join('\n')).not.toContain('Debugger');
  });

  it('needs CAP_SYS_ADMIN and no other capability', async () => {
    const alone = ['setpriv', '--bounding-set=-all,+sys_admin', '--inh-caps=-all', '--no-new-privs'];
    await using daemon = await startDaemon({ launcher: alone });
    const status = readFileSync(`/proc/${daemon.daemonPid}/status`, 'utf8');
    expect(status).toMatch(/^CapEff:\t0000000000200000$/m);
    const path = await use(daemon);
    expect(spawnSync('cat', [path], { encoding: 'utf8' }).stdout).toBe('hello');
  });

  it('gives names that try to get out of the mount root a directory of their own in it', async () => {
    await using daemon = await startDaemon();
    await use(daemon);
    const root = (await daemon.status('volume')).cid ?? '';
    const names = ['../escape', '..', '.', 'a/../../b', '/etc/passwd', '%2e%2e', 'x'.repeat(3000), 'a\0b'];
    const mountpoints = [];
    for (const name of names) mountpoints.push(await daemon.mount(name, root));
    expect(new Set(mountpoints).size).toBe(names.length);
    for (const path of mountpoints) expect(join(path, '..')).toBe(daemon.mountRoot);
    const seen = spawnSync('sh', ['-c', 'cat "$1"/* | wc -c', 'sh', daemon.mountRoot], { encoding: 'utf8' });
    expect(seen.stdout.trim()).toBe(String((names.length + 1) * 'hello'.length));
    expect(existsSync(join(daemon.directory, 'escape'))).toBe(false);
  });
});
