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

export interface RunOptions {
  readonly rounds: number;
  /** A directory on the disk under test, removed afterwards. */
  readonly workDirectory: string;
  /** Progress, on stderr. */
  readonly say: (line: string) => void;
}

/** One measurement: brings the thing into its state, does the work, and says what it took. */
export interface Trial {
  readonly workload: string;
  readonly contender: string;
  readonly unit: string;
  run(): Promise<number>;
}

/** Runs every trial `rounds` times, interleaved. */
export async function interleave(trials: readonly Trial[], options: RunOptions): Promise<Figures[]> {
  const values = trials.map((): number[] => []);
  for (let round = 0; round < options.rounds; round++) {
    for (let step = 0; step < trials.length; step++) {
      const index = (step + round) % trials.length;
      const trial = trials[index];
      if (!trial) continue;
      const value = await trial.run();
      values[index]?.push(value);
      options.say(`  round ${round + 1}: ${trial.workload}, ${trial.contender}: ${value.toPrecision(3)} ${trial.unit}`);
    }
  }
  return trials.map(({ workload, contender, unit }, index) => ({
    workload,
    contender,
    unit,
    values: values[index] ?? [],
  }));
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
