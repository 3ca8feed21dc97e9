/**
 * Row 7: what a reader feels of a background fill at full speed, and how much of the link the fill uses meanwhile. Beside
 * ours a download by another program, first in first out, 32 blocks at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Benchmark, type Figures, interleave, quantile, type Trial } from '../benchmark.ts';
import { end, run } from '../child.ts';
import { startGenerated } from '../generated.ts';
import { LINKS, type Link, type LinkSpeed, linkText, measureLink, openLink } from '../link.ts';
import { VolumeDaemon } from '../volume-daemon.ts';

const READS = new URL('../programs/random-reads.ts', import.meta.url).pathname;
const DOWNLOAD = new URL('../programs/bulk-download.ts', import.meta.url).pathname;
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
      const figures = await interleave(
        [
          trial('ipfs-volume', { link, measured, demanded, delays }, (daemon) => daemon.mount('fill', filled, ALL)),
          trial('another program, first in first out', { link, measured, demanded, delays }, async () => {
            const url = `http://127.0.0.1:${link.port}`;
            return spawn(process.execPath, [DOWNLOAD, url, filled, '32'], { stdio: ['ignore', 'ignore', 'inherit'] });
          }),
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

const ALL = { prefetch: 'all' };

interface Setting {
  readonly link: Link;
  readonly measured: LinkSpeed;
  readonly demanded: string;
  readonly delays: Map<string, number[]>;
}

function trial(
  contender: string,
  setting: Setting,
  fill: (daemon: VolumeDaemon) => Promise<ChildProcess | string>,
): Trial {
  const { link, measured, demanded, delays } = setting;
  return {
    contender,
    async run() {
      const daemon = await VolumeDaemon.start({ gatewayUrl: `http://127.0.0.1:${link.port}` });
      let other: ChildProcess | string = '';
      try {
        const directory = await daemon.mount('demanded', demanded, { prefetch: 'none' });
        const file = join(directory, 'file-0');
        const read = async (count: number, skip: number, state: string): Promise<number[]> => {
          const output = await run(process.execPath, [READS, file, count, READ_BYTES, 1, PAUSE_MS, skip].map(String));
          const { delaysMs } = JSON.parse(output) as { delaysMs: number[] };
          const key = `${contender}/${state}`;
          delays.set(key, [...(delays.get(key) ?? []), ...delaysMs]);
          return delaysMs;
        };
        const idle = await read(IDLE_READS, 0, 'idle');
        other = await fill(daemon);
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
        if (typeof other !== 'string') await end(other);
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

/** Each curve: which share of the reads was answered within x ms. */
function draw(
  delays: ReadonlyMap<string, readonly number[]>,
  drawSeries: Parameters<Benchmark['run']>[0]['draw'],
): void {
  for (const [key, values] of delays) {
    const sorted = [...values].sort((a, b) => a - b);
    const points = sorted.map((delay, index): [number, number] => [delay, (100 * (index + 1)) / sorted.length]);
    drawSeries({ picture: 'fairness', name: key.replace('/', ', '), points });
  }
}
