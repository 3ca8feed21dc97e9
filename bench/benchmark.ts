/**
 * What a benchmark is, and how all of them measure.
 *
 * Contenders run interleaved, round by round in an order that rotates, so that a machine whose speed drifts drifts under
 * all of them alike. Every figure is kept; the table shows median, minimum and maximum. A benchmark prints what it
 * measured and judges nothing.
 *
 * It ends: rounds stop when a row's time is up, who takes longer than its limit is ended and stands in the table with
 * "> limit", once, and who fails is named under the table, while the others go on.
 */
import { writeFileSync } from 'node:fs';

export interface Figures {
  /** What was done, such as `tar, cold`. */
  readonly workload: string;
  /** Who did it, such as `ipfs-volume (kernel)`. */
  readonly contender: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** It was ended at its limit: it takes longer than the values say. */
  readonly beyond?: boolean;
}

export interface Benchmark {
  /** For `--only`. */
  readonly name: string;
  /** The row of the table of goals that it measures. */
  readonly title: string;
  /** Programs that must be on the PATH; a benchmark without one of them is left out, with a line that says so. */
  readonly programs: readonly string[];
  run(options: RunOptions): Promise<readonly Figures[]>;
}

/** A line of a picture: what was measured along the way, not only at the end. */
export interface Series {
  /** The picture that it belongs to, such as `start`. */
  readonly picture: string;
  readonly name: string;
  /** Pairs of x and y; what they are, the picture's own script knows. */
  readonly points: readonly (readonly [number, number])[];
}

export interface RunOptions {
  /** At the most. */
  readonly rounds: number;
  /** No round begins that would end later than this after the first one's start; the first one always runs. */
  readonly budgetSeconds: number;
  /** Smaller sizes, for whoever works on a benchmark; figures of such a run are for no table. */
  readonly quick: boolean;
  /** A directory on the disk under test, removed afterwards. */
  readonly workDirectory: string;
  /** Progress, on stderr. */
  readonly say: (line: string) => void;
  /** A line that belongs under the table: sizes, and what the link measured. */
  readonly note: (line: string) => void;
  /** Somebody's measurement failed: a line that belongs under the table, and ends the run with a failure. */
  readonly fail: (line: string) => void;
  /** Takes a line of a picture. */
  readonly draw: (series: Series) => void;
}

/** The options of one of `parts` that share a row's time. */
export function partOf(options: RunOptions, parts: number): RunOptions {
  return { ...options, budgetSeconds: options.budgetSeconds / parts };
}

/** One thing that a trial measured. */
export interface Measured {
  readonly workload: string;
  readonly unit: string;
  readonly value: number;
  /** It was ended at its limit: it takes longer than `value`. Such a trial is not run again. */
  readonly beyond?: boolean;
}

/** One measurement: brings the thing into its state, does the work, and says what it took. */
export interface Trial {
  readonly contender: string;
  /** Rounds at most, for a peer that takes minutes. */
  readonly rounds?: number;
  run(): Promise<readonly Measured[]>;
}

/** Nobody's measurement takes this long: one that does is stuck, and is left behind. */
const TRIAL_LIMIT_MS = 5 * 60_000;

interface Running {
  readonly trial: Trial;
  readonly figures: Map<string, { unit: string; values: number[]; beyond: boolean }>;
  roundsLeft: number;
  /** The latest run. */
  tookMs: number;
}

/** Runs every trial `rounds` times, interleaved; the figures stand by workload, contenders in their trials' order. */
export async function interleave(trials: readonly Trial[], options: RunOptions): Promise<Figures[]> {
  const all = trials.map((trial): Running => {
    const roundsLeft = Math.min(options.rounds, trial.rounds ?? options.rounds);
    return { trial, figures: new Map(), roundsLeft, tookMs: 0 };
  });
  const endMs = performance.now() + 1000 * options.budgetSeconds;
  for (let round = 0; ; round++) {
    const left = all.filter(({ roundsLeft }) => roundsLeft > 0);
    const expectedMs = left.reduce((sum, { tookMs }) => sum + tookMs, 0);
    if (left.length === 0 || (round > 0 && performance.now() + expectedMs > endMs)) break;
    for (let step = 0; step < all.length; step++) {
      const running = all[(step + round) % all.length];
      if (running && running.roundsLeft > 0) await runOnce(running, round, options);
    }
  }
  const workloads = new Set(all.flatMap(({ figures }) => [...figures.keys()]));
  return [...workloads].flatMap((workload) =>
    all.flatMap(({ trial: { contender }, figures }): Figures[] => {
      const figure = figures.get(workload);
      return figure ? [{ workload, contender, ...figure }] : [];
    }),
  );
}

async function runOnce(running: Running, round: number, options: RunOptions): Promise<void> {
  const { trial, figures } = running;
  const startedMs = performance.now();
  running.roundsLeft--;
  try {
    for (const { workload, unit, value, beyond = false } of await withinLimit(trial.run())) {
      const figure = figures.get(workload) ?? { unit, values: [], beyond: false };
      figures.set(workload, figure);
      figure.values.push(value);
      figure.beyond ||= beyond;
      if (beyond) running.roundsLeft = 0;
      const shown = `${beyond ? '> ' : ''}${value.toPrecision(3)} ${unit}`;
      options.say(`  round ${round + 1}: ${workload}, ${trial.contender}: ${shown}`);
    }
  } catch (error) {
    running.roundsLeft = 0;
    options.fail(`${trial.contender} failed in round ${round + 1}: ${(error as Error).message}`);
  }
  running.tookMs = performance.now() - startedMs;
}

async function withinLimit<T>(work: Promise<T>): Promise<T> {
  const { promise: stuck, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not done in ${TRIAL_LIMIT_MS / 60_000} min`)), TRIAL_LIMIT_MS);
  try {
    return await Promise.race([work, stuck]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Drops the kernel's page, dentry and inode caches. Written twice: the first pass frees the dentries whose inodes only
 * the second can free.
 */
export function dropKernelCaches(): void {
  for (let pass = 0; pass < 2; pass++) writeFileSync('/proc/sys/vm/drop_caches', '3');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** The value below which `share` of all lie; the nearest one that was measured. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
