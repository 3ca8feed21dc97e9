/**
 * `node bench/publish.ts FILE`: the figures that `npm run bench -- --json FILE` wrote, into docs/BENCHMARKS.md between its
 * markers, and the pictures into docs/benchmarks/. A row that the file does not have keeps what is there. `npm run format`
 * then lines the tables up, as `npm run check` wants them.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Series } from './benchmark.ts';
import { type Machine, machineText, type Report, table } from './report.ts';
import { type Chart, chartSvg } from './svg.ts';

const DOCUMENT = new URL('../docs/BENCHMARKS.md', import.meta.url);
const PICTURES = new URL('../docs/benchmarks/', import.meta.url);

/** As the legend has them. */
const PRIORITY_NAMES: Readonly<Record<string, string>> = {
  demand: 'demand: a reader waits',
  readahead: 'ahead of a reader',
  metadata: 'metadata: what listings need',
  profile: 'profile: what the last run needed',
  background: 'background: the rest',
};

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: node bench/publish.ts FILE, of npm run bench -- --json FILE');
const { machine, reports } = JSON.parse(readFileSync(path, 'utf8')) as { machine: Machine; reports: Report[] };

let document = readFileSync(DOCUMENT, 'utf8');
for (const report of reports) {
  const measured = `Measured ${machine.measuredAt.slice(0, 16).replace('T', ' ')} UTC: ${machineText(machine)}.`;
  const pictures = draw(report.series);
  document = between(document, report.name, [table(report), `${measured}\n`, ...pictures].join('\n'));
}
writeFileSync(DOCUMENT, document);

/** Writes the pictures; gives what shows them in the document, a line each. */
function draw(series: readonly Series[]): string[] {
  mkdirSync(PICTURES, { recursive: true });
  return [...new Set(series.map((line) => line.picture))].map((picture) => {
    const lines = series.filter((line) => line.picture === picture);
    const chart = chartOf(picture, lines);
    const name = `${picture.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.svg`;
    writeFileSync(new URL(name, PICTURES), chartSvg(chart));
    console.log(`docs/benchmarks/${name}`);
    return `![${chart.title}](benchmarks/${name})\n`;
  });
}

/** `text` with what stands between the markers of `name` replaced. @throws where the markers are not there. */
function between(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- figures: ${name} -->`, `<!-- end: ${name} -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/BENCHMARKS.md has no markers ${begin} and ${end}`);
  return `${text.slice(0, from)}${begin}\n${content}${text.slice(to)}`;
}

function chartOf(picture: string, series: readonly Series[]): Chart {
  // Each keeps its look where others have nothing to show.
  const lines = series
    .map(({ name, points }, look) => ({ name: PRIORITY_NAMES[name] ?? name, points, look }))
    .filter(({ points }) => points.some(([, y]) => y > 0));
  if (picture.startsWith('start')) {
    const title = `${picture.replace('start, ', '')}: what came, until ready`;
    const readySeconds = Math.max(...lines.flatMap(({ points }) => points.map(([x]) => x)));
    const marks = [{ name: 'ready', x: readySeconds }];
    const maxX = 1.02 * readySeconds;
    return { title, xLabel: 'seconds since the mount', yLabel: 'MiB', lines, marks, maxX, steps: true };
  }
  if (picture === 'fairness') {
    const title = 'Reads beside a background fill, 1 Gbit/s and 50 ms';
    const marks = [{ name: 'p99', y: 99 }];
    return { title, xLabel: 'answered within, ms', yLabel: '% of the reads', lines, marks, maxY: 100, maxX: 400 };
  }
  const title = 'One file from front to back at 1 Gbit/s, by round trip';
  const marks = [{ name: 'the link', y: 1e9 / 8 / 1024 ** 2 }];
  return { title, xLabel: 'round trip, ms', yLabel: 'MiB/s', lines, marks, dots: true, logarithmicX: true };
}
