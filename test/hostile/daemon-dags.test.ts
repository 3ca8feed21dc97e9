/** The hostile DAGs that came by CAR, mounted, before real programs: the daemon answers, stays small, and serves the others. */
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { run } from '../fuse/outside.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon } from '../support/daemon.ts';
import { cidOfBytes, DAG_PB, DagBuilder, RAW } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';
import { carV1 } from '../support/make-car.ts';
import { HOSTILE, type MakeDag } from './support/hostile-dags.ts';

const MAX_PEAK_BYTES = 700 * 1024 ** 2;

/** A CAR of it: blocks are told apart by trying, since the map keeps no codecs. */
function carOf(make: MakeDag) {
  const blocks = new BlockMap();
  const root = make(new DagBuilder(blocks));
  const all = [...blocks.blocks.values()].map((bytes) => ({
    cid: cidOfBytes(bytes[0] === 0x0a || bytes[0] === 0x12 ? DAG_PB : RAW, bytes),
    bytes,
  }));
  return { root, car: carV1([root], all) };
}

describeWith(['root', 'fuse'], 'hostile DAGs, mounted', () => {
  test('every program ends, the daemon stays within bounds, and an honest volume is served all the while', async () => {
    await using daemon = await startDaemon({ settings: { READ_TIMEOUT: '2s' } });
    const honest = carOf((dag) => dag.directory([{ name: 'file', cid: dag.raw(Buffer.from('honest')) }]));
    const take = async ({ car }: { car: Uint8Array }) => {
      await using client = daemon.client();
      await client.import(Readable.from([car]));
    };
    await take(honest);
    const there = await daemon.mount('honest', honest.root);
    for (const [name, make] of Object.entries(HOSTILE)) {
      const hostile = carOf(make);
      await take(hostile);
      const mounted = await daemon
        .mount(name, hostile.root, { prefetch: 'none' })
        .catch((error: Error) => error.message);
      if (mounted.startsWith('/')) {
        const looked = await Promise.all([
          run('ls', '-la', mounted),
          run('head', '-c', '100000', mounted),
          run('find', mounted, '-maxdepth', '30'),
        ]);
        for (const { signal } of looked) expect(signal).toBeNull();
        await daemon.remove(name);
      } else {
        expect(mounted).toMatch(/not a UnixFS|DAG_INVALID|not UnixFS|claims more|not a shard/);
        await daemon.call('Remove', { Name: name });
      }
      expect((await run('cat', `${there}/file`)).stdout.toString()).toBe('honest');
    }
    expect(daemon.footprint().peakBytes).toBeLessThan(MAX_PEAK_BYTES);
    await daemon.remove('honest');
  });
});
