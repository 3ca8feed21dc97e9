/**
 * `npm run bench [-- --only NAME] [--rounds N] [--quick] [--json FILE] [--list]`: the benchmarks, beside their peers.
 *
 * Tables go to stdout, progress to stderr. Needs root and /dev/fuse; run it on a machine that does nothing else.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Benchmark, Series } from './benchmark.ts';
import { run } from './child.ts';
import { describeMachine, machineText, type Report, table } from './report.ts';
import { cost } from './rows/cost.ts';
import { dockerRun } from './rows/docker-run.ts';
import { everything } from './rows/everything.ts';
import { fairness } from './rows/fairness.ts';
import { localReads } from './rows/local-reads.ts';
import { random } from './rows/random.ts';
import { remoteTree } from './rows/remote-tree.ts';
import { roundTrips } from './rows/round-trips.ts';
import { smallFiles } from './rows/small-files.ts';
import { start } from './rows/start.ts';
import { stream } from './rows/stream.ts';
import { tree } from './rows/tree.ts';
import { wholeCopy } from './rows/whole-copy.ts';

const BENCHMARKS: readonly Benchmark[] = [
  start,
  wholeCopy,
  stream,
  roundTrips,
  random,
  localReads,
  tree,
  remoteTree,
  fairness,
  everything,
  smallFiles,
  cost,
  dockerRun,
];

const TOUCH_MEMORY = new URL('./programs/touch-memory.ts', import.meta.url).pathname;

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

if (flags.list) {
  for (const { name, title } of BENCHMARKS) console.log(`${name.padEnd(13)} ${title}`);
} else {
  await runAll();
}

async function runAll(): Promise<void> {
  const rounds = Number(flags.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${flags.rounds}: a whole number from 1`);
  const unknown = flags.only?.find((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: no such benchmark; --list shows them`);
  if (process.getuid?.() !== 0) throw new Error('benchmarks mount file systems and drop caches: run them as root');

  if (!flags.quick) {
    console.error('touching the free memory once');
    // What the page cache holds of the programs may stay.
    await run(process.execPath, [TOUCH_MEMORY, String(2 * 1024 ** 3)]);
  }
  const reports: Report[] = [];
  for (const benchmark of BENCHMARKS) {
    if (flags.only && !flags.only.includes(benchmark.name)) continue;
    const missing = benchmark.programs.find((program) => !isInstalled(program));
    if (missing !== undefined) {
      console.log(`${benchmark.name}: left out, this machine has no ${missing}\n`);
      continue;
    }
    const workDirectory = await mkdtemp(join(tmpdir(), 'ipfs-volume-bench-'));
    try {
      console.error(`${benchmark.name}: ${benchmark.title}`);
      const notes: string[] = [];
      const series: Series[] = [];
      const figures = await benchmark.run({
        rounds,
        quick: flags.quick,
        workDirectory,
        say: (line) => console.error(line),
        note: (line) => notes.push(line),
        draw: (line) => series.push(line),
      });
      const report = { name: benchmark.name, title: benchmark.title, notes, figures, series };
      reports.push(report);
      console.log(table(report));
    } finally {
      await rm(workDirectory, { recursive: true, force: true });
    }
  }
  const machine = describeMachine();
  console.log(machineText(machine));
  if (flags.json) await writeFile(flags.json, `${JSON.stringify({ machine, reports }, null, 2)}\n`);
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
