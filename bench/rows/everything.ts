/** Row 8: all of a volume, read through the mount while it is fetched, beside `ipfs get` of the same to the disk. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Benchmark, interleave, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { LINKS } from '../link.ts';
import { writeNoise, writeTree } from '../noise.ts';
import { type Origin, startReader, withOrigin } from '../origin.ts';
import { type RemoteContender, throughGateway, throughKubo } from '../remote.ts';

const MEBIBYTE = 1024 ** 2;

export const everything: Benchmark = {
  name: 'everything',
  title: 'Row 8: all of a volume, cold, 1 Gbit/s and 50 ms',
  programs: ['tar'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    const large = options.quick ? 64 : 192;
    for (const number of [0, 1]) await writeNoise(join(source, `large-${number}`), large * MEBIBYTE, number);
    for (let number = 2; number < 66; number++) {
      await writeNoise(join(source, 'models', `part-${number}`), 2 * MEBIBYTE, number);
    }
    await writeTree(join(source, 'tree'), 200, 10);
    options.note(`Two files of ${large} MiB, 64 of 2 MiB, 2,000 of a few bytes in 200 directories.`);
    return withOrigin([source], LINKS.far, options.note, (origin, [cid = '']) =>
      interleave(
        [
          tarTrial(throughGateway(origin), cid),
          tarTrial(throughKubo(origin), cid),
          getTrial(origin, cid, options.workDirectory),
        ],
        options,
      ),
    );
  },
};

function tarTrial(contender: RemoteContender, cid: string): Trial {
  return {
    contender: contender.name,
    async run() {
      const seen = await contender.open(cid);
      try {
        const command = 'tar cf - -C "$0" . | cat >/dev/null';
        const value = await seconds('sh', ['-c', command, seen.directory]);
        return [{ workload: 'read all (ours: tar through the mount)', unit: 's', value }];
      } finally {
        await seen.close();
      }
    },
  };
}

function getTrial(origin: Origin, cid: string, directory: string): Trial {
  return {
    contender: 'ipfs get',
    async run() {
      const reader = await startReader(origin);
      const copy = join(directory, 'copy');
      try {
        const args = ['get', '--progress=false', '-o', copy, cid];
        const value = await seconds(reader.program, args, reader.environment);
        return [{ workload: 'read all (ours: tar through the mount)', unit: 's', value }];
      } finally {
        await reader.stop();
        await rm(copy, { recursive: true, force: true });
      }
    },
  };
}
