/** Prefetching goes on where it was when the daemon is replaced: nothing that came is fetched a second time. */
import { join } from 'node:path';
import type { CID } from 'multiformats/cid';
import { expect, it } from 'vitest';
import { startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { SMALL_HEAP, startDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';
import { read, sha256 } from '../support/reading.ts';

const FILES = 90;
const FILE_BYTES = 30_000;

describeWith(['root', 'fuse'], 'a daemon that is replaced while it prefetches', () => {
  it('goes on after kill -9 and after SIGHUP, without fetching again and without a second start', async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const files = Array.from({ length: FILES }, (_, index) => dag.raw(Buffer.alloc(FILE_BYTES, `file ${index} `)));
    const entries = files.map((cid: CID, index) => ({ name: `f${index}`, cid, tsize: FILE_BYTES }));
    const root = dag.directory(entries);
    await using gateway = await startBlockGateway(blocks);
    // The next so many are answered; those behind them wait, and die with their daemon.
    let left = 30;
    const answered = new Set<string>();
    gateway.hold = (cid) => {
      if (left-- <= 0) return new Promise(() => {});
      answered.add(cid);
      return undefined;
    };
    await using daemon = await startDaemon({ gateways: [gateway.url] });
    await using client = daemon.client();
    await daemon.mount('v', root);
    const settled = async () => (await client.status()).cache.blocks === answered.size && answered.size >= 30;
    await until('the first thirty are on disk', settled);

    for (const [signal, more] of [
      ['SIGKILL', 30],
      ['SIGHUP', FILES],
    ] as const) {
      const before = new Set(answered);
      const askedBefore = gateway.asked.length;
      const { daemonPid } = daemon;
      left = more;
      process.kill(signal === 'SIGHUP' ? daemon.pid : daemonPid, signal);
      await until('the next daemon goes on', async () => answered.size >= Math.min(before.size + more, FILES + 1));
      expect(daemon.daemonPid).not.toBe(daemonPid);
      const again = gateway.asked.slice(askedBefore).filter((cid) => before.has(cid));
      expect(again).toEqual([]);
      await until('they are on disk', async () => (await client.status()).cache.blocks === answered.size);
    }
    await until('all is here', async () => (await daemon.status('v')).state === 'complete');
    expect(answered.size).toBe(FILES + 1);
    // The container started once, before the first of them died.
    expect(daemon.log.filter((line) => line.includes('start-up complete'))).toEqual([]);
  });

  it.each([
    ['an exception', 'throw new Error("a defect")'],
    ['running out of memory, without a word', 'for (const kept = []; ; ) kept.push(new Array(1e6).fill(kept.length))'],
  ])('is not begun again once three daemons have ended of it by %s, which status says', async (_how, crash) => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    // What memory lacks when a daemon starts, so that nobody but the background asks for it.
    const inner = dag.directory([{ name: 'leaf', cid: dag.raw(Buffer.alloc(FILE_BYTES, 'leaf')), tsize: FILE_BYTES }]);
    const root = dag.directory([{ name: 'inner', cid: inner }]);
    await using gateway = await startBlockGateway(blocks);
    gateway.hold = (cid) => (cid === root.toString() ? undefined : new Promise(() => {}));
    const preload = encodeURIComponent(`process.on("SIGUSR2", () => { ${crash} })`);
    const NODE_OPTIONS = `--import=data:text/javascript,${preload}`;
    const gateways = [gateway.url];
    await using daemon = await startDaemon({ gateways, environment: { NODE_OPTIONS }, launcher: SMALL_HEAP });
    const asked = () => gateway.asked.filter((cid) => cid === inner.toString()).length;
    await using client = daemon.client();
    // Its start comes well each time, and takes nothing back of what the rest does.
    await client.importProfile(JSON.stringify({ version: 1, root: `${root}`, runs: 1, blocks: [`${root}`] }));
    await daemon.mount('poisoned', root);
    for (let ends = 1; ends <= 3; ends++) {
      await until('it is fetched', () => asked() === ends);
      process.kill(daemon.daemonPid, 'SIGUSR2');
    }
    const lastError = async () => (await daemon.status('poisoned')).lastError;
    await until('status says so', async () => /^3 daemons ended/.test((await lastError()) ?? ''));
    expect(asked()).toBe(3);
    // A reader is served all the same.
    gateway.hold = () => undefined;
    expect((await read(join(daemon.mountRoot, 'poisoned', 'inner', 'leaf'))).result).toBe(
      sha256(Buffer.alloc(FILE_BYTES, 'leaf')),
    );
    await expect(client.prefetch('poisoned')).rejects.toThrow(/^3 daemons ended/);
  });
});
