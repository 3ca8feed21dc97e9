/** Row 9: `tar` of 10,000 files of 5 bytes whose blocks are local: every cost but that of bytes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Benchmark, dropKernelCaches, interleave, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { type Contender, localContenders, withMount } from '../contenders.ts';

const FILE_COUNT = 10_000;
const DIRECTORY_COUNT = 100;

export const smallFiles: Benchmark = {
  name: 'small-files',
  title: `Row 9: tar of ${FILE_COUNT} files of 5 bytes in ${DIRECTORY_COUNT} directories, blocks local`,
  programs: ['bindfs', 'tar'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    const fileCount = options.quick ? FILE_COUNT / 10 : FILE_COUNT;
    for (let index = 0; index < fileCount; index++) {
      const directory = join(source, `d${index % DIRECTORY_COUNT}`);
      if (index < DIRECTORY_COUNT) await mkdir(directory, { recursive: true });
      await writeFile(join(directory, `f${index}`), String(index).padStart(5, '0'));
    }
    const contenders = await localContenders(source, options.workDirectory);
    return interleave(contenders.map(tarTrial), options);
  },
};

/** Through a pipe: GNU tar reads no file when it sees that its archive is /dev/null. */
function tarTrial(contender: Contender): Trial {
  return {
    contender: contender.name,
    run: () =>
      withMount(contender, async ({ directory }) => {
        const tar = (): Promise<number> => seconds('sh', ['-c', `tar cf - -C "$0" . | cat >/dev/null`, directory]);
        dropKernelCaches();
        return [
          { workload: 'tar, cold', unit: 's', value: await tar() },
          { workload: 'tar, warm', unit: 's', value: await tar() },
        ];
      }),
  };
}
