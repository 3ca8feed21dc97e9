/**
 * Row 4: reads at random in a file far away, each in a block of its own, one and 32 at once: how long they take, what comes
 * over the link for a byte that is read, and, 32 at once, how much of the link that is.
 */
import { join } from 'node:path';
import { type Benchmark, interleave, type Measured, quantile, type Trial } from '../benchmark.ts';
import { run } from '../child.ts';
import { LINKS, type LinkSpeed } from '../link.ts';
import { writeNoise } from '../noise.ts';
import { withOrigin } from '../origin.ts';
import {
  kuboMount,
  NO_PREFETCH,
  type RemoteContender,
  remoteTrial,
  type Seen,
  throughGateway,
  throughKubo,
} from '../remote.ts';

const PROGRAM = new URL('../programs/random-reads.ts', import.meta.url).pathname;
const SIZES = [4096, 128 * 1024] as const;
/** In each of them as many reads in all as the file has places for. */
const PLANS = [
  { readers: 1, reads: 40 },
  { readers: 32, reads: 192 },
] as const;
/** A peer of which a read takes several round trips does fewer, and fewer rounds. */
const SLOW_SHARE = 1 / 4;
const SLOW_ROUNDS = 3;

export const random: Benchmark = {
  name: 'random',
  title: 'Row 4: reads at random, cold, 1 Gbit/s and 50 ms',
  programs: [],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    await writeNoise(join(source, 'file'), 512 * 1024 ** 2);
    options.note('A file of 512 MiB in blocks of 1 MiB (8.4 ms on the link), each read in a block of its own.');
    return withOrigin([source], LINKS.far, options.note, (origin, [cid = '']) => {
      const share = options.quick ? SLOW_SHARE : 1;
      const trial = (contender: RemoteContender, part: number): Trial =>
        remoteTrial(contender, cid, (seen) => measure(seen, part, origin.measured), NO_PREFETCH);
      return interleave(
        [
          trial(throughGateway(origin), share),
          trial(throughKubo(origin), share),
          { ...trial(kuboMount(origin), SLOW_SHARE), rounds: SLOW_ROUNDS },
        ],
        options,
      );
    });
  },
};

async function measure({ directory, link }: Seen, share: number, speed: LinkSpeed): Promise<Measured[]> {
  const measured: Measured[] = [];
  let skip = 0;
  for (const { readers, reads } of PLANS) {
    for (const size of SIZES) {
      const count = Math.max(readers, Math.ceil(reads * share));
      const before = await link.carriedBytes();
      const args = [PROGRAM, join(directory, 'file'), count, size, readers, 0, skip].map(String);
      const output = await run(process.execPath, args, { UV_THREADPOOL_SIZE: '40' });
      const { delaysMs, seconds } = JSON.parse(output) as { delaysMs: number[]; seconds: number };
      const carried = (await link.carriedBytes()) - before;
      skip += count;
      const what = `${size / 1024} KiB, ${readers} at once`;
      measured.push(
        { workload: `${what}: p50`, unit: 'ms', value: quantile(delaysMs, 0.5) },
        { workload: `${what}: p99`, unit: 'ms', value: quantile(delaysMs, 0.99) },
        { workload: `${what}: bytes carried for a byte read`, unit: '×', value: carried / (count * size) },
      );
      if (readers > 1) {
        const used = (100 * 8 * carried) / seconds / speed.bitsPerSecond;
        measured.push({ workload: `${what}: share of the link`, unit: '%', value: used });
      }
    }
  }
  return measured;
}
