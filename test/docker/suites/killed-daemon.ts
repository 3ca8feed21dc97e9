/**
 * The daemon killed again and again under eight containers that read gigabytes and walk trees: none of them notices, and
 * neither does any call of Docker's.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { until } from '../../support/daemon.ts';
import type { FilePart } from '../../support/dag-builder.ts';
import { type Bench, PLUGIN } from '../support/bench.ts';
import { IMAGE } from '../support/engine.ts';

const BLOCK_BYTES = 1024 * 1024;
/** Two and a half gigabytes in all, of a few blocks each again and again: each is a page of the reader's own all the same. */
const LARGE_FILES = 4;
const BLOCKS_A_FILE = 640;
const DIFFERENT_BLOCKS = 40;
const WALKERS = 4;
const DIRECTORIES = 30;
const FILES_A_DIRECTORY = 20;
/** As long as the large files take to be read, on a machine that has nothing else to do. */
const WALK_SECONDS = 30;
/** Against hangs. */
const LIMIT_MS = 240_000;

const WALK = `cd /data/tree && end=$(($(date +%s) + ${WALK_SECONDS}))
while [ $(date +%s) -lt $end ]; do
  find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum || exit 1
done`;

export function killedDaemon(bench: Bench): void {
  const { engine } = bench;

  /** A directory with both, and what the readers must print. */
  function content() {
    const { dag } = bench;
    const large = Array.from({ length: LARGE_FILES }, (_, file) => {
      const blocks = Array.from({ length: DIFFERENT_BLOCKS }, (_, block) =>
        Buffer.alloc(BLOCK_BYTES, `${file}/${block} `),
      );
      const parts = blocks.map((bytes) => dag.rawPart(bytes));
      const hash = createHash('sha256');
      const order = Array.from({ length: BLOCKS_A_FILE }, (_, at) => (at * 7) % DIFFERENT_BLOCKS);
      for (const block of order) hash.update(blocks[block] as Buffer);
      // Two levels, as an importer makes them.
      const rows = Array.from({ length: BLOCKS_A_FILE / DIFFERENT_BLOCKS }, (_, row) =>
        dag.part(
          order.slice(row * DIFFERENT_BLOCKS, (row + 1) * DIFFERENT_BLOCKS).map((block) => parts[block] as FilePart),
        ),
      );
      return { name: `large-${file}`, cid: dag.part(rows).cid, sum: hash.digest('hex') };
    });
    const lines: string[] = [];
    const tree = Array.from({ length: DIRECTORIES }, (_, directory) => {
      const name = `d${String(directory).padStart(2, '0')}`;
      const files = Array.from({ length: FILES_A_DIRECTORY }, (_, file) => {
        const bytes = Buffer.alloc(3000, `${directory}/${file} `);
        const path = `f${String(file).padStart(2, '0')}`;
        lines.push(`${createHash('sha256').update(bytes).digest('hex')}  ./${name}/${path}\n`);
        return { name: path, cid: dag.raw(bytes), tsize: bytes.length };
      });
      return { name, cid: dag.directory(files) };
    });
    const root = dag.directory([...large, { name: 'tree', cid: dag.directory(tree) }]);
    return { root, large, walked: createHash('sha256').update(lines.join('')).digest('hex') };
  }

  describe('kill -9 of the daemon', () => {
    test('is felt by none of eight containers that read gigabytes and walk trees, and by no call of Docker’s', async () => {
      const { root, large, walked } = content();
      bench.delayMs = 30;
      const mounts = [
        '--mount',
        `type=volume,volume-driver=${PLUGIN},source=killed,volume-opt=cid=${root},volume-opt=prefetch=none,dst=/data`,
      ];
      const readers = large.map(({ name }, index) => ({ name: `reads-${index}`, script: `sha256sum </data/${name}` }));
      const walkers = Array.from({ length: WALKERS }, (_, index) => ({ name: `walks-${index}`, script: WALK }));
      const all = [...walkers, ...readers];
      for (const { name, script } of all) {
        await engine.ok('run', '--detach', '--network', 'none', '--name', name, ...mounts, IMAGE, 'sh', '-c', script);
      }
      const running = async () => (await engine.ok('ps', '--quiet')).split('\n').filter(Boolean).length;
      const deadline = performance.now() + LIMIT_MS;
      let kills = 0;
      while ((await running()) > 0 && performance.now() < deadline) {
        const daemon = await engine.pluginProcess(PLUGIN, 'daemon').catch(() => undefined);
        if (daemon === undefined) continue;
        process.kill(daemon, 'SIGKILL');
        kills++;
        // Names and attributes go too: whoever walks asks for all of them again.
        writeFileSync('/proc/sys/vm/drop_caches', '2');
        // These wait for the next daemon, and succeed.
        const made = `made-${kills}`;
        await engine.ok('volume', 'create', '--driver', PLUGIN, '--opt', `cid=${root}`, made);
        expect((await engine.status('killed')).options).toMatchObject({ prefetch: 'none' });
        await engine.ok('volume', 'rm', made);
        // Daemons that are all killed before they read anything serve nobody, however many there are.
        const [walker] = walkers;
        if (walker) await engine.docker('exec', walker.name, 'sh', '-c', 'cat /data/tree/d00/f00 >/dev/null');
      }
      bench.delayMs = 0;
      const outcomes = await Promise.all(
        all.map(async ({ name }) => ({
          name,
          code: await engine.ok('wait', name),
          said: (await engine.docker('logs', name)).stderr,
          sums: [...new Set((await engine.ok('logs', name)).split('\n').map((line) => line.slice(0, 64)))],
        })),
      );
      const right = (name: string, sum: string) => ({ name, code: '0', said: '', sums: [sum] });
      expect(outcomes).toEqual([
        ...walkers.map(({ name }) => right(name, walked)),
        ...readers.map(({ name }, index) => right(name, (large[index] as { sum: string }).sum)),
      ]);
      console.log(`${kills} kills under ${all.length} containers`);
      expect(kills).toBeGreaterThan(5);
      for (const { name } of all) await engine.ok('rm', name);
      await until('all mounts are given back', async () => (await engine.status('killed')).mounts === 0);
      expect(await engine.status('killed')).toMatchObject({ lastError: null });
      expect(await engine.sh(mounts, 'ls /data/tree | wc -l')).toBe(String(DIRECTORIES));
    });
  });
}
