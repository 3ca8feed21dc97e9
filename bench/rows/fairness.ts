/**
 * Row 7: what a reader feels of a background fill at full speed, and how much of the link the fill uses meanwhile. Beside
 * ours a download by another program, 32 blocks at once: first in first out, and by the rule of stargz-snapshotter, which
 * pauses for readers until five seconds after the last of them.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type BackgroundFill, firstInFirstOut, ours, pausing } from '../background-fill.ts';
import { type Benchmark, type Figures, interleave, quantile, type Trial } from '../benchmark.ts';
import { run } from '../child.ts';
import { startGenerated } from '../generated.ts';
import { LINKS, type Link, type LinkSpeed, linkText, measureLink, openLink } from '../link.ts';
import { NO_PREFETCH } from '../remote.ts';
import { VolumeDaemon } from '../volume-daemon.ts';

const READS = new URL('../programs/random-reads.ts', import.meta.url).pathname;
const READ_BYTES = 128 * 1024;
/** Between two reads: a program does something with what it read. */
const PAUSE_MS = 30;
const IDLE_READS = 60;
const BUSY_READS = 120;
/** Until the fill has found its speed. */
const WARM_UP_MS = 3000;

const FILES = { directories: 0, entriesEach: 0, files: 1 };

export const fairness: Benchmark = {
  name: 'fairness',
  title: 'Row 7: readers beside a background fill, 1 Gbit/s and 50 ms',
  programs: [],
  async run(options) {
    const generated = await startGenerated([
      { ...FILES, leavesEach: 512, differentLeaves: 512 },
      { ...FILES, leavesEach: 2560, differentLeaves: 2560 },
    ]);
    const measured = await measureLink(LINKS.far);
    options.note(`Link: ${linkText(LINKS.far)} asked for, ${linkText(measured)} measured.`);
    options.note(`Reads of 128 KiB, each in a block of its own of 1 MiB (8.4 ms on the link), ${PAUSE_MS} ms apart.`);
    const link = await openLink(generated.port, LINKS.far);
    const delays = new Map<string, number[]>();
    try {
      const [demanded = '', filled = ''] = generated.cids;
      const setting = { link, measured, demanded, delays };
      const figures = await interleave(
        [
          trial(setting, ours(link, filled)),
          trial(setting, firstInFirstOut(link, filled)),
          // It does nothing beside a reader, each time.
          { ...trial(setting, pausing(link, filled)), rounds: 1 },
        ],
        options,
      );
      draw(delays, options.draw);
      return [...pooled(delays), ...figures];
    } finally {
      await link.close();
      await generated.close();
    }
  },
};

interface Setting {
  readonly link: Link;
  readonly measured: LinkSpeed;
  readonly demanded: string;
  readonly delays: Map<string, number[]>;
}

function trial({ link, measured, demanded, delays }: Setting, { contender, open }: BackgroundFill): Trial {
  return {
    contender,
    async run() {
      const fill = await open();
      const daemon = await VolumeDaemon.start({ gatewayUrl: fill.gatewayUrl });
      try {
        const directory = await daemon.mount('demanded', demanded, NO_PREFETCH);
        const file = join(directory, 'file-0');
        const read = async (count: number, skip: number, state: string): Promise<number[]> => {
          const output = await run(process.execPath, [READS, file, count, READ_BYTES, 1, PAUSE_MS, skip].map(String));
          const { delaysMs } = JSON.parse(output) as { delaysMs: number[] };
          const key = `${contender}/${state}`;
          delays.set(key, [...(delays.get(key) ?? []), ...delaysMs]);
          return delaysMs;
        };
        const idle = await read(IDLE_READS, 0, 'idle');
        await fill.begin(daemon);
        await pause(WARM_UP_MS);
        const before = await link.carriedBytes();
        const sinceMs = performance.now();
        const busy = await read(BUSY_READS, IDLE_READS, 'busy');
        const seconds = (performance.now() - sinceMs) / 1000;
        const carried = (await link.carriedBytes()) - before;
        const readBytes = BUSY_READS * 1024 ** 2;
        const spare = (measured.bitsPerSecond / 8) * seconds - readBytes;
        return [
          { workload: 'p50, idle', unit: 'ms', value: quantile(idle, 0.5) },
          { workload: 'p50 beside the fill', unit: 'ms', value: quantile(busy, 0.5) },
          {
            workload: 'share of the spare link that the fill uses',
            unit: '%',
            value: (100 * (carried - readBytes)) / spare,
          },
        ];
      } finally {
        await fill.end();
        await daemon.stop();
      }
    },
  };
}

/** The 99th of a hundred is one read; over all rounds it is several. */
function pooled(delays: ReadonlyMap<string, readonly number[]>): Figures[] {
  const contenders = new Set([...delays.keys()].map((key) => key.split('/')[0] ?? ''));
  const p99 = (contender: string, state: string) => quantile(delays.get(`${contender}/${state}`) ?? [], 0.99);
  const figures = (workload: string, unit: string, value: (contender: string) => number) =>
    [...contenders].map((contender): Figures => ({ workload, contender, unit, values: [value(contender)] }));
  return [
    ...figures('p99, idle, all rounds together', 'ms', (contender) => p99(contender, 'idle')),
    ...figures('p99 beside the fill, all rounds together', 'ms', (contender) => p99(contender, 'busy')),
    ...figures('p99 beside the fill / idle', '×', (each) => p99(each, 'busy') / p99(each, 'idle')),
  ];
}

/** Each curve: which share of the reads was answered within x ms. Idle they are alike: one is enough. */
function draw(
  delays: ReadonlyMap<string, readonly number[]>,
  drawSeries: Parameters<Benchmark['run']>[0]['draw'],
): void {
  for (const [key, values] of delays) {
    const [contender = '', state = ''] = key.split('/');
    if (state === 'idle' && contender !== 'ipfs-volume') continue;
    const sorted = [...values].sort((a, b) => a - b);
    const points = sorted.map((delay, index): [number, number] => [delay, (100 * (index + 1)) / sorted.length]);
    drawSeries({ picture: 'fairness', name: state === 'idle' ? 'nothing beside it' : `beside ${contender}`, points });
  }
}
