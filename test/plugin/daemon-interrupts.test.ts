/**
 * Whoever waits for a block that does not come can be killed: in a read, a mapped page, a look-up, a listing. The process
 * is gone within a second, and where the kernel tells us (INTERRUPT, for look-ups and listings) so is the request for the
 * block.
 */
import { once } from 'node:events';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import { start } from '../fuse/outside.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { blocksOf, type GatewayServer, silent, startGatewayServer } from '../support/gateway-server.ts';
import { describeWith } from '../support/machine.ts';

/** The promise is a second; this is against hangs, since the machine may do other things too. */
const LIMIT_MS = 5000;
const ROUNDS = 3;

const MAP = 'import mmap, sys; f = open(sys.argv[1]); mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[0]';

interface Wait {
  readonly name: string;
  readonly command: (path: string) => readonly [string, ...string[]];
  /** What it waits for, one for each round. */
  readonly kind: 'raw' | 'node' | 'shard' | 'children';
  /** Whether the kernel says that nobody waits any more. */
  readonly interrupts: boolean;
}

const WAITS: readonly Wait[] = [
  { name: 'read', command: (path) => ['cat', path], kind: 'raw', interrupts: false },
  { name: 'mapped page', command: (path) => ['python3', '-c', MAP, path], kind: 'raw', interrupts: false },
  { name: 'look-up', command: (path) => ['stat', path], kind: 'node', interrupts: true },
  { name: 'listing', command: (path) => ['ls', '-U', path], kind: 'shard', interrupts: true },
  { name: 'listing with attributes', command: (path) => ['ls', '-l', path], kind: 'children', interrupts: true },
];

const report: string[] = [];

describeWith(['root', 'fuse'], 'killing whoever waits', () => {
  const dag = new DagBuilder(new BlockMap());
  /** A volume for each round: what stands beside something that was waited for may come along with it. */
  const roots = new Map(
    WAITS.map(({ name, kind }) => [
      name,
      Array.from({ length: ROUNDS * 2 }, (_, round) =>
        dag.directory([{ name: 'entry', ...content(dag, kind, name, round) }]),
      ),
    ]),
  );
  let gateway: GatewayServer;
  let daemon: TestDaemon;

  beforeEach(async () => {
    gateway = await startGatewayServer(blocksOf(dag.blocks));
    daemon = await startDaemon({ gateways: [gateway.url], settings: { PREFETCH: 'none' } });
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
    await gateway.close();
  });
  afterAll(() => console.log(report.join('\n')));

  it.each(WAITS)('$name: gone within a second', { timeout: 60_000 }, async ({ name, command, kind, interrupts }) => {
    const times: number[] = [];
    for (const [round, root] of (roots.get(name) ?? []).entries()) {
      const signal = round % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
      const path = `${await daemon.mount(`round ${round}`, root)}/entry`;
      // All of it but what is to be waited for.
      if (kind === 'shard' || kind === 'children') await start('stat', path).outcome;
      gateway.behave(silent);
      const next = gateway.requests.length;
      const { child } = start(...command(path));
      const request = await gateway.request(next);
      const closed = once(child, 'exit');
      const startedAt = performance.now();
      child.kill(signal);
      expect((await closed)[1]).toBe(signal);
      const tookMs = performance.now() - startedAt;
      expect(tookMs).toBeLessThan(LIMIT_MS);
      times.push(tookMs);
      if (interrupts) expect(await request.hungUp).toBe(true);
      gateway.behave(blocksOf(dag.blocks));
    }
    const sorted = times.sort((a, b) => a - b).map(Math.round);
    report.push(`killed in a ${name}, ${sorted.length} times: gone after ${sorted[0]} to ${sorted.at(-1)} ms`);
  });
});

function content(dag: DagBuilder, kind: Wait['kind'], name: string, round: number) {
  const bytes = Buffer.from(`${name} ${round} `.repeat(100));
  const part = () => dag.part([dag.rawPart(bytes)]);
  switch (kind) {
    case 'raw':
      return { cid: dag.raw(bytes), tsize: bytes.length };
    case 'node':
      return { cid: part().cid };
    case 'shard': {
      // So many names that the root shard alone holds none of them all.
      const names = Array.from({ length: 2000 }, (_, index) => `${round} ${index}`);
      return {
        cid: dag.hamt(
          names.map((each) => ({ name: each, cid: part().cid })),
          16,
        ),
      };
    }
    case 'children':
      // Of an ending that nobody waited for: it would be read ahead, and be wanted whoever is killed.
      return { cid: dag.directory([{ name: 'child.node', cid: part().cid }]) };
  }
}
