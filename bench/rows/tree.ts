/** Row 6, the local part: `find` and `stat` of 50,000 files in 5,000 directories, cold and warm. */
import { join } from 'node:path';
import { type Benchmark, dropKernelCaches, interleave, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { type Contender, localContenders, withMount } from '../contenders.ts';
import { writeTree } from '../noise.ts';

const DIRECTORY_COUNT = 5000;
const FILES_A_DIRECTORY = 10;

export const tree: Benchmark = {
  name: 'tree',
  title: `Row 6: find and stat of ${DIRECTORY_COUNT * FILES_A_DIRECTORY} files in ${DIRECTORY_COUNT} directories, blocks local`,
  programs: ['bindfs', 'find'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    await writeTree(source, options.quick ? DIRECTORY_COUNT / 10 : DIRECTORY_COUNT, FILES_A_DIRECTORY);
    const contenders = await localContenders(source, options.workDirectory);
    return interleave(contenders.map(findTrial), options);
  },
};

function findTrial(contender: Contender): Trial {
  return {
    contender: contender.name,
    run: () =>
      withMount(contender, async ({ directory }) => {
        // Size and permissions: every file is stat-ed, as `ls -lR` would.
        const find = (): Promise<number> => seconds('find', [directory, '-printf', '%s %m %p\\n']);
        dropKernelCaches();
        return [
          { workload: 'find + stat, cold', unit: 's', value: await find() },
          { workload: 'find + stat, warm', unit: 's', value: await find() },
        ];
      }),
  };
}
