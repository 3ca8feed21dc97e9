import { mkdir, rm, symlink } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { parseMountTable } from '../../src/fuse/mount-table.ts';
import { detachStaleMounts } from '../../src/fuse/stale-mounts.ts';
import { describeWith } from '../support/machine.ts';
import { emptyDirectory, shell, start, until } from './outside.ts';

describe('the table of mounts', () => {
  const table = [
    '22 1 0:21 / / rw shared:1 - ext4 /dev/root rw',
    '30 22 0:40 / /var/lib/x/mnt ro,nosuid shared:5 master:2 - fuse ipfs-volume ro,user_id=0',
    '31 30 0:41 / /var/lib/x/mnt/a\\040b\\303\\274 ro - fuse.bindfs bindfs ro',
    '32 22 0:42 / /var/lib/x/mnt-other ro - fuse other ro',
    '33 22 0:43 / /sys/fs/fuse/connections rw - fusectl fusectl rw',
    '34 22 0:44 / /var/lib/x/mnt/tmp rw - tmpfs fuse rw',
  ].join('\n');

  it('shows the FUSE mounts, last mounted first, by their names in UTF-8', () => {
    expect(parseMountTable(table)).toEqual(['/var/lib/x/mnt-other', '/var/lib/x/mnt/a bü', '/var/lib/x/mnt']);
  });
});

describeWith(['root', 'fuse'], 'stale mounts', () => {
  it('of a killed process are detached, and others are left alone', async () => {
    const above = await emptyDirectory();
    const directory = `${above}/mnt with space`;
    await mkdir(directory);
    const alias = `${above}-alias`;
    await symlink(above, alias);
    const server = start(process.execPath, new URL('./serve-memory.ts', import.meta.url).pathname, directory);
    await until(
      'it is served',
      async () => (await shell('cat "$1/volume/text" 2>/dev/null || true', directory)) === 'hello',
    );
    server.child.kill('SIGKILL');
    await server.outcome;
    expect(await shell('stat "$1" 2>&1 || true', directory)).toContain('not connected');
    expect(await detachStaleMounts(`${above}/other`, silentLogger())).toBe(0);
    // A neighbour whose name begins alike, and a way that leads through a symlink.
    expect(await detachStaleMounts(`${alias}/mnt with`, silentLogger())).toBe(0);
    expect(await detachStaleMounts(`${alias}/mnt with space/`, silentLogger())).toBe(1);
    expect(await shell('ls "$1" | wc -l', directory)).toBe('0\n');
    await rm(alias);
    await rm(above, { recursive: true });
  });
});
