/** For the picture of row 3: the speed of one stream by the round trip, at 1 Gbit/s. */
import { join } from 'node:path';
import { type Benchmark, type Figures, median } from '../benchmark.ts';
import { writeNoise } from '../noise.ts';
import { withLink, withOrigin } from '../origin.ts';
import { kuboMount, NO_PREFETCH, throughGateway, throughKubo, withSeen } from '../remote.ts';
import { readStream } from './stream.ts';

const ROUND_TRIPS_MS = [1, 10, 50, 100, 200];
const LIMIT_SECONDS = 6;

export const roundTrips: Benchmark = {
  name: 'round-trips',
  title: 'Row 3 by round trip: one file from front to back, cold, 1 Gbit/s',
  programs: [],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    await writeNoise(join(source, 'file'), 512 * 1024 ** 2);
    options.note(`A file of 512 MiB in blocks of 1 MiB; readers stop after ${LIMIT_SECONDS} s. One run each.`);
    const points = new Map<string, [number, number][]>();
    const figures: Figures[] = [];
    await withOrigin([source], { roundTripMs: 1, bitsPerSecond: 1e9 }, options.say, async (near, [cid = '']) => {
      for (const roundTripMs of options.quick ? [50] : ROUND_TRIPS_MS) {
        await withLink(near, { roundTripMs, bitsPerSecond: 1e9 }, options.note, async (origin) => {
          for (const contender of [throughGateway(origin), throughKubo(origin), kuboMount(origin)]) {
            const { bytes, seconds } = await withSeen(contender, cid, NO_PREFETCH, ({ directory }) =>
              readStream(join(directory, 'file'), LIMIT_SECONDS),
            );
            const values = [bytes / 1024 ** 2 / seconds];
            points.set(contender.name, [...(points.get(contender.name) ?? []), [roundTripMs, median(values)]]);
            figures.push({ workload: `${roundTripMs} ms`, contender: contender.name, unit: 'MiB/s', values });
            options.say(`  ${roundTripMs} ms, ${contender.name}: ${median(values).toPrecision(3)} MiB/s`);
          }
        });
      }
    });
    for (const [name, line] of points) options.draw({ picture: 'round trips', name, points: line });
    return figures;
  },
};
