/**
 * Row 6, far away: `find` and `stat` of a tree whose blocks are a round trip away. A small tree beside `ipfs mount`, which
 * takes a round trip or more for each entry, and a large one for what grows: round trips should with depth alone.
 */
import { join } from 'node:path';
import { type Benchmark, type Figures, interleave, type Measured, partOf, type Trial } from '../benchmark.ts';
import { secondsWithin } from '../child.ts';
import { LINKS } from '../link.ts';
import { writeTree } from '../noise.ts';
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

const FILES_A_DIRECTORY = 10;
/** For one walk: `ipfs mount` would be at the larger tree for more than an hour. */
const LIMIT_SECONDS = 60;

export const remoteTree: Benchmark = {
  name: 'remote-tree',
  title: 'Row 6, remote: find and stat, cold, 1 Gbit/s and 50 ms',
  programs: ['find'],
  async run(options) {
    const sizes = options.quick ? [20, 500] : [50, 5000];
    const sources = sizes.map((directories) => join(options.workDirectory, String(directories)));
    for (const [index, source] of sources.entries()) await writeTree(source, sizes[index] ?? 0, FILES_A_DIRECTORY);
    options.note(`Four levels of directories, ten files in each of the lowest; ended after ${LIMIT_SECONDS} s.`);
    return withOrigin(sources, LINKS.far, options.note, async (origin, cids) => {
      const figures: Figures[] = [];
      for (const [index, cid] of cids.entries()) {
        const workload = `find + stat of ${(sizes[index] ?? 0) * FILES_A_DIRECTORY} files`;
        const find = (contender: RemoteContender): Trial =>
          remoteTrial(contender, cid, (seen) => measure(seen, workload), NO_PREFETCH);
        const trials = [
          find(throughGateway(origin)),
          find(throughKubo(origin)),
          { ...find(kuboMount(origin)), rounds: 1 },
        ];
        figures.push(...(await interleave(trials, partOf(options, cids.length))));
      }
      return figures;
    });
  },
};

async function measure({ directory }: Seen, workload: string): Promise<Measured[]> {
  return [{ workload, ...(await secondsWithin(LIMIT_SECONDS, 'find', [directory, '-printf', '%s %m %p\\n'])) }];
}
