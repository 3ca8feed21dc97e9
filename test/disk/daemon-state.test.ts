/** A daemon's state directory: one daemon a directory, full under it, deleted in part under it, and left by an older or newer program. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Scratch } from '../cli/support/scratch.ts';
import { run } from '../fuse/outside.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';
import { carV1 } from '../support/make-car.ts';
import { numbered } from './support/numbered.ts';
import { SmallDisk } from './support/small-disk.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const MIB = 1024 ** 2;

async function importBlocks(daemon: TestDaemon, first: number, count: number) {
  const blocks = Array.from({ length: count }, (_, index) => numbered(first + index));
  const [root] = blocks;
  await using client = daemon.client();
  return await client.import(Readable.from([carV1(root ? [root.cid] : [], blocks)]));
}

/** A start that is expected to fail: its exit code, and what it said on stderr. */
async function serve(directory: string, stateDirectory: string) {
  const child = spawn(process.execPath, [CLI, 'serve'], {
    env: {
      PATH: process.env.PATH,
      IPFS_VOLUME_SOCKET: join(directory, 'second.sock'),
      IPFS_VOLUME_MOUNT_ROOT: join(directory, 'second-mnt'),
      IPFS_VOLUME_STATE_DIR: stateDirectory,
      IPFS_VOLUME_KUBO_RPC: '',
      IPFS_VOLUME_GATEWAYS: '',
    },
  });
  let said = '';
  for (const output of [child.stderr, child.stdout]) {
    output.on('data', (text) => {
      said += text;
    });
  }
  const [code] = await once(child, 'close');
  return { code, said };
}

describeWith(['root', 'fuse'], 'the state directory', () => {
  test('a second daemon refuses in one line and leaves the first one alone', async () => {
    await using daemon = await startDaemon();
    const { cid } = numbered(1);
    await importBlocks(daemon, 1, 3);
    const file = await daemon.mount('first', cid);
    const { code, said } = await serve(daemon.directory, daemon.stateDirectory);
    expect(code).toBe(1);
    expect(said.trim().split('\n')).toHaveLength(1);
    expect(said).toContain(
      `the state directory ${daemon.stateDirectory} is in use by another ipfs-volume: stop it, or set IPFS_VOLUME_STATE_DIR to another`,
    );
    expect((await run('cat', file)).stdout.length).toBeGreaterThan(0);
    await daemon.remove('first');
  });

  test('full under it: Create fails clearly, reads and Get go on, and with room again all is well and nothing lost', async () => {
    await using disk = await SmallDisk.make(64 * MIB);
    await using daemon = await startDaemon({ stateDirectory: disk.at('state') });
    await importBlocks(daemon, 1, 20);
    const { cid } = numbered(4);
    const file = await daemon.mount('before', cid);
    disk.fill();
    await expect(daemon.create('while full', cid, { uid: '7' })).rejects.toThrow(/state cannot be saved in .*: ENOSPC/);
    await expect(importBlocks(daemon, 100, 30)).rejects.toThrow(/no space left for the local store/);
    expect((await daemon.status('before')).mounts).toBe(1);
    await expect(daemon.status('while full')).rejects.toThrow(/no such volume/);
    expect((await run('sha256sum', file)).code).toBe(0);
    disk.giveBack();
    await importBlocks(daemon, 100, 30);
    await daemon.create('afterwards', cid);
    await daemon.remove('before');
    const { Volumes } = await daemon.call<{ Volumes: { Name: string }[] }>('List', {});
    expect(Volumes.map(({ Name }) => Name)).toEqual(['afterwards']);
  });

  test('its cache and store deleted under it: imports fail clearly, reads of what is mounted fail as absent, Get answers', async () => {
    await using daemon = await startDaemon();
    await importBlocks(daemon, 1, 10);
    const { cid } = numbered(4);
    await daemon.mount('volume', cid);
    for (const name of ['store', 'cache']) rmSync(join(daemon.stateDirectory, name), { recursive: true });
    await expect(importBlocks(daemon, 20, 10)).rejects.toThrow(
      /local store in .* cannot be written: its directory was deleted; restart the daemon/,
    );
    expect(await daemon.status('volume')).toMatchObject({ mounts: 1 });
    await daemon.remove('volume');
  });

  test('a cache of a newer version is begun anew, loudly', async () => {
    using scratch = new Scratch();
    mkdirSync(scratch.at('state'));
    database(scratch.at('state', 'cache'), 'PRAGMA user_version = 3');
    await using daemon = await startDaemon({ stateDirectory: scratch.at('state') });
    await logged(daemon, 'the disk cache is damaged or of another version: starting an empty one');
  });
});

function database(directory: string, statement: string): void {
  mkdirSync(directory);
  const made = new DatabaseSync(join(directory, 'blocks.db'));
  made.exec(statement);
  made.close();
}
