/**
 * A host that loses its power in the middle of everything, and comes up again: volumes, options and what was imported are there as
 * they were acknowledged, nothing is mounted, and whatever the cache has is right.
 *
 * The disk takes nothing from the moment on, also not what the kernel has in memory (EXT4_GOING_FLAGS_NOLOGFLUSH), and is mounted
 * again as it was left.
 */
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { CID } from 'multiformats/cid';
import { expect, test } from 'vitest';
import { detach } from '../../src/fuse/run-program.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { launchDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';
import { carV1 } from '../support/make-car.ts';
import { read, sha256 } from '../support/reading.ts';
import { RealDisk } from './support/real-disk.ts';

const DISK_BYTES = 192 * 1024 ** 2;
const CUTS = 3;
/** Acknowledged before a cut, of each kind. */
const CREATED = 8;
const IMPORTED = 3;
/** Of what is read meanwhile: rows of the cache's table, and files. */
const FILE_BYTES = [20_000, 300_000];

describeWith(['root', 'fuse'], 'a host that loses its power', () => {
  test('has what was acknowledged, and nothing wrong, time after time', async () => {
    using scratch = new Scratch();
    await using disk = await RealDisk.make(DISK_BYTES);
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const contents = Array.from({ length: 40 }, (_, file) =>
      Buffer.alloc(FILE_BYTES[file % FILE_BYTES.length] as number, `file ${file} `),
    );
    const root = dag.directory(
      contents.map((bytes, file) => ({ name: `f${file}`, cid: dag.raw(bytes), tsize: bytes.length })),
    );
    await using gateway = await startBlockGateway(blocks);
    const serve = async () => {
      const daemon = launchDaemon({
        directory: scratch.at('run'),
        stateDirectory: disk.at('state'),
        gateways: [gateway.url],
        settings: { PREFETCH: 'none' },
      });
      await daemon.ready();
      return daemon;
    };
    /** Acknowledged: volumes by name with their options, and roots with the sum of their content. */
    const volumes = new Map<string, string>();
    const roots = new Map<string, string>();

    for (let cut = 0; cut <= CUTS; cut++) {
      const daemon = await serve();
      await using undo = new AsyncDisposableStack();
      undo.defer(() => stopHard(daemon));
      const { Volumes } = await daemon.call<{ Volumes: { Name: string }[] }>('List', {});
      const names = Volumes.map(({ Name }) => Name);
      for (const [name, uid] of volumes)
        expect([name, await daemon.status(name)]).toMatchObject([name, { mounts: 0, options: { uid } }]);
      // At each cut one more may have reached the disk, whose caller was not told.
      expect(names.length - volumes.size).toBeLessThanOrEqual(cut);
      const before = gateway.asked.length;
      for (const [cid, sum] of roots) {
        const mountpoint = await daemon.mount(`check-${cid}`, cid);
        expect((await read(mountpoint)).result).toBe(sum);
        await daemon.remove(`check-${cid}`);
      }
      expect(gateway.asked.length).toBe(before);
      const mountpoint = await daemon.mount(`reads-${cut}`, root, { uid: '0' });
      volumes.set(`reads-${cut}`, '0');
      for (const [file, bytes] of contents.entries())
        expect((await read(join(mountpoint, `f${file}`))).result).toBe(sha256(bytes));
      if (cut === CUTS) return;

      const create = async () => {
        for (let number = 0; ; number++) {
          const name = `made-${cut}-${number}`;
          await daemon.create(name, root, { uid: String(number) });
          volumes.set(name, String(number));
        }
      };
      const bring = async () => {
        await using client = daemon.client();
        for (let number = 0; ; number++) {
          const bytes = Buffer.alloc(500_000, `import ${cut} ${number} `);
          const { cid } = add(bytes);
          await client.import(Readable.from([carV1([cid], [{ cid, bytes }])]));
          roots.set(cid.toString(), sha256(bytes));
        }
      };
      const [madeBefore, broughtBefore] = [volumes.size, roots.size];
      const working = [create(), bring()].map((work) => work.catch(() => undefined));
      await until(
        'some of each is acknowledged',
        () => volumes.size >= madeBefore + CREATED && roots.size >= broughtBefore + IMPORTED,
      );
      await disk.die();
      await stopHard(daemon);
      await Promise.all(working);
      await until('nobody has the disk', () => disk.unmount());
      await disk.attach();
    }
  });
});

function add(bytes: Buffer): { readonly cid: CID } {
  return { cid: new DagBuilder(new BlockMap()).raw(bytes) };
}

/** As a host without power: nobody is asked. */
async function stopHard(daemon: TestDaemon): Promise<void> {
  for (const pid of [daemon.pid, currentDaemon(daemon)]) {
    try {
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
  await detach(daemon.mountRoot);
}

function currentDaemon(daemon: TestDaemon): number | undefined {
  try {
    return daemon.daemonPid;
  } catch {
    return undefined;
  }
}
