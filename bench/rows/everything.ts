/** Row 8: all of a volume, read through the mount while it is fetched, beside `ipfs get` of the same to the disk. */
import { join } from 'node:path';
import { type Benchmark, interleave, type Measured, type Trial } from '../benchmark.ts';
import { secondsWithin } from '../child.ts';
import { LINKS } from '../link.ts';
import { writeNoise, writeTree } from '../noise.ts';
import { type Origin, withCopy, withOrigin } from '../origin.ts';
import { remoteTrial, type Seen, throughGateway, throughKubo } from '../remote.ts';

const MEBIBYTE = 1024 ** 2;
/** For one copy. `ipfs get` fetches small files one after the other, at 130 ms each. */
const LIMIT_SECONDS = 120;
const WORKLOAD = 'read all (ours: tar through the mount)';

export const everything: Benchmark = {
  name: 'everything',
  title: 'Row 8: all of a volume of half a GiB, cold, 1 Gbit/s and 50 ms',
  programs: ['tar'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    const large = options.quick ? 64 : 192;
    const directories = 40;
    for (const number of [0, 1]) await writeNoise(join(source, `large-${number}`), large * MEBIBYTE, number);
    for (let number = 2; number < 66; number++) {
      await writeNoise(join(source, 'models', `part-${number}`), 2 * MEBIBYTE, number);
    }
    await writeTree(join(source, 'tree'), directories, 10);
    options.note(
      `Two files of ${large} MiB, 64 of 2 MiB, ${directories * 10} of a few bytes in ${directories} directories; ended after ${LIMIT_SECONDS} s.`,
    );
    return withOrigin([source], LINKS.far, options.note, (origin, [cid = '']) =>
      interleave(
        [
          remoteTrial(throughGateway(origin), cid, readAll),
          remoteTrial(throughKubo(origin), cid, readAll),
          { ...getTrial(origin, cid, join(options.workDirectory, 'copy')), rounds: 1 },
        ],
        options,
      ),
    );
  },
};

async function readAll({ directory }: Seen): Promise<Measured[]> {
  const command = 'tar cf - -C "$0" . | cat >/dev/null';
  return [{ workload: WORKLOAD, ...(await secondsWithin(LIMIT_SECONDS, 'sh', ['-c', command, directory])) }];
}

function getTrial(origin: Origin, cid: string, copy: string): Trial {
  return {
    contender: 'ipfs get',
    run: async () => [
      { workload: WORKLOAD, ...(await withCopy(origin, cid, copy, LIMIT_SECONDS, async (taken) => taken)) },
    ],
  };
}
