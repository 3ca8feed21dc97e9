/** The managed plugin's own life: what it asks for, disabled, set, enabled, crashed; pushed, installed, upgraded. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { until } from '../../support/daemon.ts';
import { cidOfBytes, RAW } from '../../support/dag-builder.ts';
import { describeWith } from '../../support/machine.ts';
import { type Bench, PLUGIN, volume } from '../support/bench.ts';
import { IMAGE } from '../support/engine.ts';

const CLI = new URL('../../../dist/cli.js', import.meta.url).pathname;

export function plugin(bench: Bench): void {
  const { engine } = bench;

  describe('the managed plugin', () => {
    test('asks for CAP_SYS_ADMIN, /dev/fuse and the host’s network, and for nothing else', async () => {
      const [{ Config: config }] = JSON.parse(await engine.ok('plugin', 'inspect', PLUGIN));
      expect(config.Linux).toMatchObject({ Capabilities: ['CAP_SYS_ADMIN'], AllowAllDevices: false });
      expect(config.Linux.Devices.map(({ Path }: { Path: string }) => Path)).toEqual(['/dev/fuse']);
      expect(config).toMatchObject({ Mounts: [], Network: { Type: 'host' }, IpcHost: false, PidHost: false });
      // An empty list would come as one empty argument.
      expect(config.Entrypoint.at(-1)).toBe('serve');
      for (const { Name, Settable } of config.Env) expect([Name, Settable]).toEqual([Name, ['value']]);
      // stdout is logged as info, stderr as error.
      expect(engine.log).toMatch(/level=info msg="\{.*\\"msg\\":\\"serving\\"/);
      expect(engine.log).not.toMatch(/level=error msg="\{/);
    });

    test('is not disabled while in use; by force its mounts die, and volumes and options are there again', async () => {
      const cid = bench.sampleCid;
      await engine.ok('volume', 'create', '--driver', PLUGIN, '--opt', `cid=${cid}`, '--opt', 'uid=9', 'kept');
      await engine.background('running', volume('kept'));
      expect(await engine.refusal('plugin', 'disable', PLUGIN)).toMatch(/in use/);
      expect(await engine.ok('exec', 'running', 'cat', '/data/note')).toBe('found');
      await engine.ok('plugin', 'disable', '--force', PLUGIN);
      const read = ['exec', 'running', 'cat', '/data/bin/greet'];
      expect(await engine.refusal(...read)).toMatch(/Transport endpoint is not connected|Socket not connected/);
      await engine.ok('plugin', 'enable', PLUGIN);
      expect(await engine.status('kept')).toMatchObject({ mounts: 0, options: { cid, uid: '9' } });
      // What runs keeps the dead mount, since nothing can propagate into it; started again it is well.
      expect((await engine.docker(...read)).code).not.toBe(0);
      await engine.ok('restart', 'running');
      expect(await engine.ok('exec', 'running', 'stat', '-c', '%u', '/data/note')).toBe('9');
      expect((await engine.status('kept')).mounts).toBe(1);
    });

    test('takes settings while disabled, and starts whatever its sources do', async () => {
      expect(await engine.refusal('plugin', 'set', PLUGIN, 'IPFS_VOLUME_GATEWAYS=')).toMatch(/disable/);
      const set = async (...settings: string[]) => {
        await engine.ok('plugin', 'disable', '--force', PLUGIN);
        await engine.ok('plugin', 'set', PLUGIN, ...settings);
        await engine.ok('plugin', 'enable', PLUGIN);
      };
      const absent = cidOfBytes(RAW, Buffer.from('nobody has this either')).toString();
      const mount = `type=volume,volume-driver=${PLUGIN},volume-opt=timeout=1s,volume-opt=cid=${absent},source=absent,dst=/data`;
      const refused = () => engine.refusal('run', '--rm', '--network', 'none', '--mount', mount, IMAGE, 'true');
      try {
        await set('IPFS_VOLUME_GATEWAYS=http://127.0.0.1:9', 'IPFS_VOLUME_KUBO_RPC=http://127.0.0.1:9');
        expect(await refused()).toMatch(/did not come within 1 s \(.*127\.0\.0\.1:9.*refused/i);
        // What is on the machine needs none of them.
        expect(await engine.sh(volume(bench.sampleCid), 'cat /data/note')).toBe('found');
        await set('IPFS_VOLUME_GATEWAYS=');
        await set('IPFS_VOLUME_KUBO_RPC=');
        expect(await refused()).toMatch(/no source/);
      } finally {
        await set(...bench.settings);
      }
    });

    test('killed, is started again by the engine, and detaches what it left mounted', async () => {
      await engine.ok('volume', 'create', '--driver', PLUGIN, bench.sampleCid);
      const before = await engine.pluginProcess(PLUGIN, 'serve');
      process.kill(before, 'SIGKILL');
      await until('another process serves', async () => {
        const now = await engine.pluginProcess(PLUGIN, 'serve').catch(() => before);
        return now !== before && (await engine.docker('volume', 'inspect', bench.sampleCid)).code === 0;
      });
      expect(await engine.sh(volume(bench.sampleCid), 'cat /data/note')).toBe('found');
      const table = readFileSync(`/proc/${await engine.pluginProcess(PLUGIN, 'serve')}/mountinfo`, 'utf8');
      expect(table.split('\n').filter((line) => line.includes(' - fuse '))).toHaveLength(1);
    });

    test('serves `ipfs-volume mount` on the host, from its own store', async () => {
      const target = await mkdtemp(join(tmpdir(), 'target-'));
      const socket = await engine.pluginSocket(PLUGIN);
      const args = [CLI, 'mount', '--socket', socket, bench.sampleCid, target];
      const command = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = once(command, 'close');
      try {
        const said = await Promise.race([once(command.stdout, 'data'), ended]);
        expect(String(said)).toContain(`mounted ${bench.sampleCid} at ${target}, through the daemon at ${socket}`);
        expect((await engine.run('cat', [join(target, 'note')])).stdout).toBe('found\n');
      } finally {
        command.kill('SIGTERM');
      }
      expect((await ended)[0]).toBe(0);
      expect(await engine.ok('volume', 'ls', '--quiet')).not.toContain('ipfs-volume-mount-');
      await rm(target, { recursive: true });
    });

    test('plugin:install and plugin:remove say in one line what is wrong', async () => {
      expect(await engine.script('install', '--name', PLUGIN)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^there is a plugin "[^"]+" already: [^\n]*\n$/),
      });
      expect(await engine.script('install', '--name', 'other', 'IPFS_VOLUME_CACHE_SIZE=ten')).toMatchObject({
        code: 1,
        stderr: 'IPFS_VOLUME_CACHE_SIZE cannot be used: "ten" is not a size such as 10GiB\n',
      });
      expect(await engine.script('install', 'ten')).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^ten: settings are KEY=VALUE/),
      });
      expect(await engine.script('remove', '--name', 'other')).toMatchObject({
        code: 1,
        stderr: 'there is no plugin "other"\n',
      });
      await engine.ok('volume', 'create', '--driver', PLUGIN, bench.sampleCid);
      expect(await engine.script('remove', '--name', PLUGIN)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/in use: remove its volumes .*-- --force"\n$/),
      });
    });
  });

  describeWith(['registry'], 'a registry', () => {
    test('the plugin is pushed, installed under an alias with settings, and upgraded with its volumes kept', async () => {
      await using registry = await startRegistry();
      const name = (tag: string) => `localhost:${registry.port}/ipfs-volume:${tag}`;
      for (const tag of ['1', '2']) {
        expect(await engine.script('build', '--name', name(tag))).toMatchObject({
          code: 0,
          stdout: `built ${name(tag)}\n`,
        });
        await engine.ok('plugin', 'push', name(tag));
        await engine.ok('plugin', 'rm', name(tag));
      }
      const alias = 'shared';
      const install = ['plugin', 'install', '--alias', alias, '--grant-all-permissions', name('1')];
      await engine.ok(...install, 'IPFS_VOLUME_GATEWAYS=', 'IPFS_VOLUME_KUBO_RPC=', 'IPFS_VOLUME_CACHE_SIZE=1GiB');
      const cid = await bench.add(bench.sample, alias);
      const data = ['--volume', 'data:/data', '--volume-driver', alias];
      await engine.ok('volume', 'create', '--driver', alias, '--opt', `cid=${cid}`, 'data');
      expect(await engine.sh(data, 'cat /data/note')).toBe('found');
      await engine.ok('plugin', 'disable', '--force', alias);
      await engine.ok('plugin', 'upgrade', '--grant-all-permissions', '--skip-remote-check', alias, name('2'));
      await engine.ok('plugin', 'enable', alias);
      expect(await engine.ok('plugin', 'inspect', '--format', '{{.PluginReference}}', alias)).toContain(
        'ipfs-volume:2',
      );
      expect(await engine.ok('plugin', 'inspect', '--format', '{{.Settings.Env}}', alias)).toContain('CACHE_SIZE=1GiB');
      expect(await engine.status('data')).toMatchObject({ options: { cid } });
      // Out of its own store: no source is configured.
      expect(await engine.sh(data, 'cat /data/note')).toBe('found');
      await engine.ok('volume', 'rm', 'data');
      expect(await engine.script('remove', '--name', alias)).toMatchObject({ code: 0 });
    });
  });
}

/** Debian's docker-registry on loopback, with its data in a directory of its own. */
async function startRegistry(): Promise<AsyncDisposable & { readonly port: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'registry-'));
  const port = await freePort();
  const config = join(directory, 'config.json');
  const storage = { filesystem: { rootdirectory: join(directory, 'data') } };
  await writeFile(config, JSON.stringify({ version: 0.1, storage, http: { addr: `127.0.0.1:${port}` } }));
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/v2/`).then(
      () => true,
      () => false,
    );
  await until('the registry answers', answers);
  return {
    port,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** One that nobody listens on; the registry cannot be asked which it took. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
