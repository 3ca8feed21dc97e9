/** `pin=`, `prefetch` and `evict` over a real Kubo: what is pinned outlives the cache's pressure and its source. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { startDaemon, until } from '../support/daemon.ts';
import { type KuboNode, startKubo } from '../support/kubo.ts';
import { describeWith } from '../support/machine.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
const DEADLINE_MS = 60_000;
const run = promisify(execFile);

describeWith(['root', 'fuse', 'kubo'], 'pinned volumes', () => {
  it('stay while others are evicted, are pinned at Kubo, and give all back when they are removed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pins-'));
    const kubo = await startKubo({ offline: true });
    let running = true;
    try {
      const kept = await addTree(kubo, join(directory, 'kept'), 8, 100_000);
      const large = await addTree(kubo, join(directory, 'large'), 30, 200_000);
      const absent = 'bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e';
      await using daemon = await startDaemon({
        kuboRpc: kubo.rpcUrl,
        settings: { CACHE_SIZE: '2MiB', PREFETCH: 'none', READ_TIMEOUT: '3s' },
      });
      const ipfsVolume = (...args: string[]) =>
        run(process.execPath, [CLI, ...args, '--socket', daemon.socketPath], { timeout: DEADLINE_MS });
      const pins = () => kubo.line(['pin', 'ls', '--type=recursive', '--names', '-q']);

      const keptAt = await daemon.mount('kept', kept, { pin: 'true' });
      await until('the pinned volume is whole', async () => (await daemon.status('kept')).state === 'complete');
      await until('it is pinned at Kubo', async () => (await pins()).includes(kept));
      const largeAt = await daemon.mount('large', large);
      await run('sh', ['-c', 'cat *'], { cwd: largeAt, timeout: DEADLINE_MS, maxBuffer: 1e9, encoding: 'buffer' });
      await using client = daemon.client();
      await until('the cache is full', async () => (await client.status()).cache.bytes > 1_700_000);

      // What does not fit, what is pinned, what nobody has: each said by its name.
      await expect(ipfsVolume('prefetch', 'large')).rejects.toThrow(/cache of 2\.0 MiB has no room for the volume/);
      await expect(ipfsVolume('evict', 'kept')).rejects.toThrow(/"kept" is pinned: remove it to have its space back/);
      await daemon.create('nobody', absent);
      await expect(ipfsVolume('prefetch', 'nobody')).rejects.toThrow(new RegExp(absent));

      expect((await ipfsVolume('evict', 'large')).stdout).toMatch(/^large: freed (1\.\d|9\d\d) [MK]iB/);
      const here = (await client.status()).cache.bytes;
      expect(here).toBeGreaterThan(800_000);
      expect(here).toBeLessThan(900_000);
      expect((await ipfsVolume('prefetch', 'kept')).stdout).toMatch(/^kept: 78\d KiB on this machine/);

      await kubo.stop();
      running = false;
      // From another node of the file system, so that no page of the kernel answers.
      await daemon.call('Unmount', { Name: 'kept', ID: 'kept' });
      await daemon.create('again', kept, { uid: '7' });
      await daemon.call('Mount', { Name: 'again', ID: 'x' });
      const { stdout } = await run('sh', ['-c', 'sha256sum *'], { cwd: join(daemon.mountRoot, 'again') });
      const { stdout: original } = await run('sh', ['-c', 'sha256sum *'], { cwd: join(directory, 'kept') });
      expect(stdout).toBe(original);
      expect(keptAt).toBe(join(daemon.mountRoot, 'kept'));
    } finally {
      if (running) await kubo.stop();
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('are unpinned at Kubo with their removal, unless another volume or an owner keeps the pin', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pins-'));
    const kubo = await startKubo({ offline: true });
    try {
      const ours = await addTree(kubo, join(directory, 'ours'), 3, 1000);
      const theirs = await addTree(kubo, join(directory, 'theirs'), 3, 1000);
      await kubo.run(['pin', 'add', theirs]);
      await using daemon = await startDaemon({ kuboRpc: kubo.rpcUrl });
      const pins = () => kubo.line(['pin', 'ls', '--type=recursive', '-q']);
      for (const [name, root] of [
        ['one', ours],
        ['two', ours],
        ['three', theirs],
      ] as const) {
        await daemon.mount(name, root, { pin: 'true' });
        await until(`${name} is whole`, async () => (await daemon.status(name)).state === 'complete');
      }
      await until('ours is pinned', async () => (await pins()).includes(ours));
      await daemon.remove('one');
      await daemon.remove('three');
      expect(await pins()).toContain(ours);
      await daemon.remove('two');
      await until('ours is unpinned', async () => !(await pins()).includes(ours));
      expect(await pins()).toContain(theirs);
    } finally {
      await kubo.stop();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

/** Adds random files without pinning them; gives the root. */
async function addTree(kubo: KuboNode, path: string, files: number, sizeBytes: number): Promise<string> {
  await mkdir(path);
  for (let file = 0; file < files; file++) await writeFile(join(path, `f${file}`), randomBytes(sizeBytes));
  return kubo.line(['add', '-rQ', '--cid-version=1', '--pin=false', path]);
}
