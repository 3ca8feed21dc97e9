/**
 * `npm run bench [-- --only NAME] [--rounds N] [--seconds N] [--quick] [--touched] [--json FILE] [--list]`: the
 * benchmarks, beside their peers.
 *
 * Tables go to stdout, progress to stderr; the JSON file is written after each row, so that a run that is ended leaves what
 * it has. A row that fails is said and the others go on; the exit code is 1 then. Needs root and /dev/fuse; run it on a
 * machine that does nothing else.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Benchmark, RunOptions, Series } from './benchmark.ts';
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

const BENCHMARKS: readonly Benchmark[] = [
  start,
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

const USAGE =
  'usage: npm run bench -- [--only NAME]... [--rounds N] [--seconds N] [--quick] [--touched] [--json FILE] [--list]';

const flags = readFlags();
if (flags.list) {
  for (const { name, title } of BENCHMARKS) console.log(`${name.padEnd(13)} ${title}`);
} else {
  await runAll().catch(refuse);
  // Whoever was left behind must not keep us.
  process.exit();
}

function readFlags() {
  try {
    return parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        rounds: { type: 'string', default: '5' },
        // Of measuring, for each row: a round that would end later does not begin. What a row sets up comes on top.
        seconds: { type: 'string', default: '150' },
        quick: { type: 'boolean', default: false },
        // A run before touched the memory already.
        touched: { type: 'boolean', default: false },
        json: { type: 'string' },
        list: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return refuse(error);
  }
}

function refuse(error: unknown): never {
  console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  process.exit(2);
}

async function runAll(): Promise<void> {
  const rounds = wholeNumber('rounds', flags.rounds);
  const budgetSeconds = wholeNumber('seconds', flags.seconds);
  const unknown = flags.only?.find((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: no such benchmark; --list shows them`);
  if (process.getuid?.() !== 0) throw new Error('benchmarks mount file systems and drop caches: run them as root');

  if (!flags.quick && !flags.touched) {
    console.error('touching the free memory once');
    // What the page cache holds of the programs may stay.
    await run(process.execPath, [TOUCH_MEMORY, String(2 * 1024 ** 3)]);
  }
  const machine = describeMachine();
  const reports: Report[] = [];
  for (const benchmark of BENCHMARKS) {
    if (flags.only && !flags.only.includes(benchmark.name)) continue;
    const missing = benchmark.programs.find((program) => !isInstalled(program));
    if (missing !== undefined) {
      console.log(`${benchmark.name}: left out, this machine has no ${missing}\n`);
      continue;
    }
    const report = await runOne(benchmark, { rounds, budgetSeconds, quick: flags.quick });
    if (!report) continue;
    reports.push(report);
    console.log(table(report));
    if (flags.json) await writeFile(flags.json, `${JSON.stringify({ machine, reports }, null, 2)}\n`);
  }
  console.log(machineText(machine));
}

/** Undefined where it failed as a whole. */
async function runOne(
  benchmark: Benchmark,
  options: Pick<RunOptions, 'rounds' | 'budgetSeconds' | 'quick'>,
): Promise<Report | undefined> {
  const workDirectory = await mkdtemp(join(tmpdir(), 'ipfs-volume-bench-'));
  const { name, title } = benchmark;
  const notes: string[] = [];
  const series: Series[] = [];
  const sinceMs = performance.now();
  const fail = (line: string) => {
    console.error(`  ${line}`);
    notes.push(`**${line}**`);
    process.exitCode = 1;
  };
  try {
    console.error(`${name}: ${title}`);
    const figures = await benchmark.run({
      ...options,
      workDirectory,
      say: (line) => console.error(line),
      note: (line) => notes.push(line),
      fail,
      draw: (line) => series.push(line),
    });
    return { name, title, notes, figures, series };
  } catch (error) {
    console.error(error);
    console.log(`${name}: failed: ${(error as Error).message}\n`);
    process.exitCode = 1;
    return undefined;
  } finally {
    await rm(workDirectory, { recursive: true, force: true });
    console.error(`${name}: ${((performance.now() - sinceMs) / 1000).toFixed(0)} s in all`);
  }
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${flag} ${text}: a whole number from 1`);
  return value;
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
