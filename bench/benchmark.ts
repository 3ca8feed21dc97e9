/**
 * What a benchmark is, and how all of them measure.
 *
 * Contenders run interleaved, round by round in an order that rotates, so that a machine whose speed drifts drifts under
 * all of them alike. Every figure is kept; the table shows median, minimum and maximum. A benchmark prints what it
 * measured and judges nothing.
 */
import { writeFileSync } from 'node:fs';

export interface Figures {
  /** What was done, such as `tar, cold`. */
  readonly workload: string;
  /** Who did it, such as `ipfs-volume (kernel)`. */
  readonly contender: string;
  readonly unit: string;
  readonly values: readonly number[];
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
  readonly rounds: number;
  /** Smaller sizes, for whoever works on a benchmark; figures of such a run are for no table. */
  readonly quick: boolean;
  /** A directory on the disk under test, removed afterwards. */
  readonly workDirectory: string;
  /** Progress, on stderr. */
  readonly say: (line: string) => void;
  /** A line that belongs under the table: sizes, and what the link measured. */
  readonly note: (line: string) => void;
  /** Takes a line of a picture. */
  readonly draw: (series: Series) => void;
}

/** One thing that a trial measured. */
export interface Measured {
  readonly workload: string;
  readonly unit: string;
  readonly value: number;
}

/** One measurement: brings the thing into its state, does the work, and says what it took. */
export interface Trial {
  readonly contender: string;
  /** Rounds at most, for a peer that takes minutes. */
  readonly rounds?: number;
  run(): Promise<readonly Measured[]>;
}

/** Runs every trial `rounds` times, interleaved; the figures stand by workload, contenders in their trials' order. */
export async function interleave(trials: readonly Trial[], options: RunOptions): Promise<Figures[]> {
  const found = trials.map(() => new Map<string, { unit: string; values: number[] }>());
  for (let round = 0; round < options.rounds; round++) {
    for (let step = 0; step < trials.length; step++) {
      const index = (step + round) % trials.length;
      const trial = trials[index];
      if (!trial || round >= (trial.rounds ?? options.rounds)) continue;
      for (const { workload, unit, value } of await trial.run()) {
        const figure = found[index]?.get(workload) ?? { unit, values: [] };
        found[index]?.set(workload, figure);
        figure.values.push(value);
        options.say(`  round ${round + 1}: ${workload}, ${trial.contender}: ${value.toPrecision(3)} ${unit}`);
      }
    }
  }
  const workloads = new Set(found.flatMap((figures) => [...figures.keys()]));
  return [...workloads].flatMap((workload) =>
    trials.flatMap(({ contender }, index) => {
      const figure = found[index]?.get(workload);
      return figure ? [{ workload, contender, ...figure }] : [];
    }),
  );
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
