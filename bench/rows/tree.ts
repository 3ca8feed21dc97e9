/** Row 6, the local part: `find` and `stat` of 50,000 files in 5,000 directories, cold and warm. */
import { join } from 'node:path';
import { type Benchmark, dropKernelCaches, interleave, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { bindfs, type Contender, disk, LocalContent } from '../contenders.ts';
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
    const content = new LocalContent(join(options.workDirectory, 'state'));
    const cid = await content.add(source);
    const contenders = [
      content.contender(cid, join(options.workDirectory, 'kernel'), 'kernel'),
      content.contender(cid, join(options.workDirectory, 'fuse-native'), 'fuse-native'),
      bindfs(source, join(options.workDirectory, 'bindfs')),
      disk(source),
    ];
    return interleave(contenders.map(findTrial), options);
  },
};

function findTrial(contender: Contender): Trial {
  return {
    contender: contender.name,
    async run() {
      const mounted = await contender.mount();
      try {
        // Size and permissions: every file is stat-ed, as `ls -lR` would.
        const find = (): Promise<number> => seconds('find', [mounted.directory, '-printf', '%s %m %p\\n']);
        dropKernelCaches();
        return [
          { workload: 'find + stat, cold', unit: 's', value: await find() },
          { workload: 'find + stat, warm', unit: 's', value: await find() },
        ];
      } finally {
        await mounted.unmount();
      }
    },
  };
}
