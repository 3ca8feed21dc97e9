/** Figures as a table for people and as JSON for programs; both say on which machine, and from which version. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { type Figures, median, type Series } from './benchmark.ts';

export interface Report {
  readonly name: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly figures: readonly Figures[];
  readonly series: readonly Series[];
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly revision: string;
  readonly measuredAt: string;
}

export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    revision: revision(),
    measuredAt: new Date().toISOString(),
  };
}

/** On one line. */
export function machineText({ processor, cores, memoryBytes, kernel, node, revision }: Machine): string {
  const memory = `${(memoryBytes / 1024 ** 3).toFixed(0)} GiB`;
  return `${processor}, ${cores} cores, ${memory}, Linux ${kernel}, Node ${node}, ${revision}`;
}

function revision(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version as string;
  }
}

/** A Markdown table a report: workloads down, with each contender's median and its ratio to the first contender. */
export function table({ title, notes, figures }: Report): string {
  const lines = [
    `### ${title}`,
    '',
    ...(notes.length > 0 ? [notes.join(' '), ''] : []),
    '| workload | contender | median | min | max | n | to ours |',
    '| --- | --- | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const workload of new Set(figures.map((figure) => figure.workload))) {
    const group = figures.filter((figure) => figure.workload === workload);
    const base = group.find(isOurs) ?? group[0];
    // No number to compare with where it was ended itself.
    const ours = base && !base.beyond ? median(base.values) : Number.NaN;
    for (const { contender, unit, values, beyond } of group) {
      const more = beyond ? '> ' : '';
      const middle = median(values);
      const cells = [middle, Math.min(...values), Math.max(...values)].map((value) => `${more}${show(value)} ${unit}`);
      const ratio = `${more}${show(middle / ours)}`;
      lines.push(`| ${workload} | ${contender} | ${cells.join(' | ')} | ${values.length} | ${ratio} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The first such one is what the others are compared with, even where it stands behind them. */
function isOurs({ contender }: Figures): boolean {
  return contender.startsWith('ipfs-volume');
}

/** Three digits: more would be noise. */
function show(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}
