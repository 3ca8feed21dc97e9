/**
 * Row 6, far away: `find` and `stat` of a tree whose blocks are a round trip away. A small tree beside `ipfs mount`, which
 * takes a round trip or more for each entry, and a large one for what grows: round trips should with depth alone.
 */
import { join } from 'node:path';
import { type Benchmark, interleave, type RunOptions, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { LINKS } from '../link.ts';
import { writeTree } from '../noise.ts';
import { withOrigin } from '../origin.ts';
import { kuboMount, type RemoteContender, throughGateway, throughKubo } from '../remote.ts';

const FILES_A_DIRECTORY = 10;
const SLOW_ROUNDS = 2;

export const remoteTree: Benchmark = {
  name: 'remote-tree',
  title: 'Row 6, remote: find and stat, cold, 1 Gbit/s and 50 ms',
  programs: ['find'],
  async run(options: RunOptions) {
    const sizes = options.quick ? [20, 500] : [50, 5000];
    const sources = sizes.map((directories) => join(options.workDirectory, String(directories)));
    for (const [index, source] of sources.entries()) await writeTree(source, sizes[index] ?? 0, FILES_A_DIRECTORY);
    options.note('Four levels of directories, ten files in each of the lowest.');
    return withOrigin(sources, LINKS.far, options.note, async (origin, [small = '', large = '']) => {
      const none = { prefetch: 'none' };
      const of = (contender: RemoteContender, cid: string, directories = 0, volumeOptions = {}) =>
        trial(contender, cid, `find + stat of ${directories * FILES_A_DIRECTORY} files`, volumeOptions);
      const [few, many] = sizes;
      const first = await interleave(
        [
          of(throughGateway(origin), small, few, none),
          of(throughKubo(origin), small, few, none),
          { ...of(kuboMount(origin), small, few), rounds: SLOW_ROUNDS },
        ],
        options,
      );
      const second = await interleave(
        [of(throughGateway(origin), large, many, none), of(throughKubo(origin), large, many, none)],
        options,
      );
      return [...first, ...second];
    });
  },
};

function trial(
  contender: RemoteContender,
  cid: string,
  workload: string,
  volumeOptions: Readonly<Record<string, string>>,
): Trial {
  return {
    contender: contender.name,
    async run() {
      const seen = await contender.open(cid, volumeOptions);
      try {
        const value = await seconds('find', [seen.directory, '-printf', '%s %m %p\\n']);
        return [{ workload, unit: 's', value }];
      } finally {
        await seen.close();
      }
    },
  };
}
