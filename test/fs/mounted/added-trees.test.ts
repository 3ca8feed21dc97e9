/**
 * Trees added by `ipfs-volume add` to a daemon, mounted by it, and compared with what they were made of, entry by entry,
 * from other processes: the whole way from a directory to a container's view of it, on the real kernel.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shell } from '../../fuse/outside.ts';
import { startDaemon, type TestDaemon } from '../../support/daemon.ts';
import { describeWith } from '../../support/machine.ts';
import { addPath, startIpfsVolume } from './support/command-line.ts';
import { expectSameTree, type TreeEntry, withoutMetadata } from './support/same-tree.ts';
import { noise, ODD_NAMES, oddTree, packageTree, smallFiles, sparseFile } from './support/source-trees.ts';

const GIB = 2 ** 30;

/** Set-user-ID, set-group-ID and the sticky bit are never shown; nor is the mode of a symlink, which means nothing. */
function asShown(entry: TreeEntry): TreeEntry {
  return { ...entry, mode: `0o${(Number(entry.mode) & 0o777).toString(8)}` };
}

/** By its library: milliseconds, no time before 1970, and text where bytes are meant. */
function asShownByLibfuse({ target, ...entry }: TreeEntry): TreeEntry {
  const milliseconds = BigInt(entry.mtime) / 1_000_000n;
  const mtime = String((milliseconds < 0n ? 0n : milliseconds) * 1_000_000n);
  if (target === undefined) return { ...entry, mtime };
  return { ...entry, mtime, target: Buffer.from(Buffer.from(target, 'latin1').toString('utf8')).toString('latin1') };
}

for (const transport of ['kernel', 'fuse-native'] as const) {
  describeWith(['root', 'fuse'], `trees added and mounted: ${transport}`, () => {
    let scratch: string;
    let daemon: TestDaemon;
    beforeAll(async () => {
      scratch = mkdtempSync(join(tmpdir(), 'trees-'));
      daemon = await startDaemon({ settings: { TRANSPORT: transport } });
    });
    afterAll(async () => {
      await daemon?.[Symbol.asyncDispose]();
      rmSync(scratch, { recursive: true, force: true });
    });

    const shown = transport === 'kernel' ? asShown : (entry: TreeEntry) => asShownByLibfuse(asShown(entry));

    async function mountAdded(name: string, source: string, ...flags: string[]): Promise<string> {
      return daemon.mount(name, await addPath(daemon.socketPath, source, ...flags));
    }

    test('what Debian’s packages hold, symlinks and all', async () => {
      const source = join(scratch, 'packages');
      await packageTree(source);
      const mounted = await mountAdded('packages', source);
      expect(await expectSameTree(mounted, source, shown)).toBeGreaterThan(1000);
      expect(Number(await shell('find "$1" -type l | wc -l', mounted))).toBeGreaterThan(20);
    });

    test('odd names, times, modes, sizes and symlinks, and a path as deep as can be said', async () => {
      const source = join(scratch, 'odd');
      await oddTree(source);
      const mounted = await mountAdded('odd', source);
      expect(await expectSameTree(mounted, source, shown)).toBeGreaterThan(2 * ODD_NAMES.length);
    });

    test('without metadata: the volume’s modes and owner, and no time', async () => {
      const source = join(scratch, 'plain');
      mkdirSync(join(source, 'sub'), { recursive: true });
      writeFileSync(join(source, 'sub', 'file'), 'x');
      const options = { 'file-mode': '0640', 'dir-mode': '0710', uid: '1234', gid: '5678' };
      const cid = await addPath(daemon.socketPath, source, '--no-metadata');
      await expectSameTree(await daemon.mount('plain', cid), source, withoutMetadata);
      const owned = await daemon.mount('owned', cid, options);
      expect(await shell('cd "$1" && stat -c "%a %u %g %Y" . sub sub/file', owned)).toBe(
        '710 1234 5678 0\n710 1234 5678 0\n640 1234 5678 0\n',
      );
      // The same file in two volumes of other owners is two nodes: neither takes the other's.
      expect(await shell('stat -c "%a %u" "$1/plain/sub/file"', daemon.mountRoot)).toBe('444 0\n');
    });

    test('a single file is a volume whose mountpoint is the file', async () => {
      const source = join(scratch, 'single');
      writeFileSync(source, noise(3_000_000));
      await expectSameTree(await mountAdded('single', source), source, shown);
    });

    if (transport !== 'kernel') return;

    test('50,000 small files', async () => {
      const source = join(scratch, 'small');
      smallFiles(source, 50_000);
      const mounted = await mountAdded('small', source);
      expect(await expectSameTree(mounted, source, shown)).toBe(50_000 + 50 + 1);
    });

    test('a file of more than 4 GiB', async () => {
      const source = join(scratch, 'large');
      const size = 4 * GIB + 5_000_001;
      sparseFile(source, size, [0, 2 * GIB - 5, 4 * GIB - 5, 4 * GIB + 1, size - 20]);
      await expectSameTree(await mountAdded('large', source), source, shown);
      await daemon.remove('large');
    });

    test('`mount` binds a tree wherever it is asked to, through the daemon and by itself', async () => {
      const source = join(scratch, 'bound');
      await oddTree(source);
      const cid = await addPath(daemon.socketPath, source);
      const target = join(scratch, 'target');
      mkdirSync(target);
      // Alone it has a state directory of its own, with the tree added to it by a daemon that ran before.
      const other = join(scratch, 'other');
      mkdirSync(other);
      const alone = { SOCKET: '/nonexistent', STATE_DIR: join(other, 'state'), KUBO_RPC: '', GATEWAYS: '' };
      await using before = await startDaemon({ directory: other });
      expect(await addPath(before.socketPath, source)).toBe(cid);
      await before.stop();
      for (const settings of [{ SOCKET: daemon.socketPath }, alone]) {
        const command = startIpfsVolume(settings, 'mount', cid, target);
        expect(await command.firstLine).toMatch(`mounted ${cid} at ${target}`);
        await expectSameTree(target, source, shown);
        command.child.kill('SIGINT');
        expect(await command.end).toMatchObject({ code: 0, stderr: '' });
        expect(await shell('ls -A "$1"', target)).toBe('');
      }
    });
  });
}
