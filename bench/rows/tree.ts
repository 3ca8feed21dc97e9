/** Row 6, the local part: `find` and `stat` of 50,000 files in 5,000 directories, cold and warm. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Benchmark, dropKernelCaches, interleave, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { bindfs, type Contender, disk, LocalContent } from '../contenders.ts';

const DIRECTORY_COUNT = 5000;
const FILES_A_DIRECTORY = 10;

export const tree: Benchmark = {
  name: 'tree',
  title: `Row 6: find and stat of ${DIRECTORY_COUNT * FILES_A_DIRECTORY} files in ${DIRECTORY_COUNT} directories, blocks local`,
  programs: ['bindfs', 'find'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    for (let index = 0; index < DIRECTORY_COUNT; index++) {
      // Three levels, as package trees have: 50 × 10 × 10.
      const directory = join(
        source,
        `a${index % 50}`,
        `b${Math.floor(index / 50) % 10}`,
        `c${Math.floor(index / 500)}`,
      );
      await mkdir(directory, { recursive: true });
      for (let file = 0; file < FILES_A_DIRECTORY; file++) {
        await writeFile(join(directory, `file-${file}`), `${index}/${file}`);
      }
    }
    const content = new LocalContent(join(options.workDirectory, 'state'));
    const cid = await content.add(source);
    const contenders = [
      content.contender(cid, join(options.workDirectory, 'kernel'), 'kernel'),
      content.contender(cid, join(options.workDirectory, 'fuse-native'), 'fuse-native'),
      bindfs(source, join(options.workDirectory, 'bindfs')),
      disk(source),
    ];
    const cold = await interleave(
      contenders.map((contender) => findTrial(contender, 'cold')),
      options,
    );
    const warm = await interleave(
      contenders.map((contender) => findTrial(contender, 'warm')),
      options,
    );
    return [...cold, ...warm];
  },
};

function findTrial(contender: Contender, state: 'cold' | 'warm'): Trial {
  return {
    workload: `find + stat, ${state}`,
    contender: contender.name,
    unit: 's',
    async run() {
      const mounted = await contender.mount();
      try {
        // Size and permissions: every file is stat-ed, as `ls -lR` would.
        const find = (): Promise<number> => seconds('find', [mounted.directory, '-printf', '%s %m %p\\n']);
        dropKernelCaches();
        const first = await find();
        return state === 'cold' ? first : await find();
      } finally {
        await mounted.unmount();
      }
    },
  };
}
