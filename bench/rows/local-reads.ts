/**
 * Row 5: reads of blocks on the local disk, page cache dropped: 1 GiB in sequence, and 4 KiB at random. With each read
 * in sequence, the processor time that the serving process took for it (part of row 10).
 */
import { join } from 'node:path';
import { type Benchmark, dropKernelCaches, interleave, partOf, type Trial } from '../benchmark.ts';
import { run, seconds } from '../child.ts';
import { type Contender, localContenders, withMount } from '../contenders.ts';
import { writeNoise } from '../noise.ts';
import { processorSeconds } from '../process-cost.ts';

const RANDOM_READS = 2000;
const PROGRAM = new URL('../programs/random-reads.ts', import.meta.url).pathname;

export const localReads: Benchmark = {
  name: 'local-reads',
  title: 'Row 5: one file of 1 GiB, blocks local, page cache dropped',
  programs: ['bindfs', 'dd'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    await run('mkdir', ['-p', source]);
    const fileBytes = options.quick ? 128 * 1024 ** 2 : 1024 ** 3;
    await writeNoise(join(source, 'file'), fileBytes);
    const contenders = await localContenders(source, options.workDirectory);
    const half = partOf(options, 2);
    const sequential = await interleave(
      contenders.map((contender) => sequentialTrial(contender, fileBytes)),
      half,
    );
    const random = await interleave(contenders.map(randomTrial), half);
    return [...sequential, ...random];
  },
};

function sequentialTrial(contender: Contender, fileBytes: number): Trial {
  return {
    contender: contender.name,
    run: () =>
      withMount(contender, async ({ directory, processId }) => {
        const processIds = processId === undefined ? [] : [processId];
        const before = await processorSeconds(processIds);
        dropKernelCaches();
        const taken = await seconds('dd', [`if=${directory}/file`, 'of=/dev/null', 'bs=1M', 'status=none']);
        const mebibytes = fileBytes / 1024 ** 2;
        const speed = { workload: 'sequential, 1 MiB reads', unit: 'MiB/s', value: mebibytes / taken };
        if (processId === undefined) return [speed];
        const spentMs = 1000 * ((await processorSeconds(processIds)) - before);
        return [speed, { workload: 'processor time a MiB', unit: 'ms', value: spentMs / mebibytes }];
      }),
  };
}

function randomTrial(contender: Contender): Trial {
  const workload = `${RANDOM_READS} random reads of 4 KiB, one at a time`;
  return {
    contender: contender.name,
    run: () =>
      withMount(contender, async ({ directory }) => {
        dropKernelCaches();
        const file = join(directory, 'file');
        const output = await run(process.execPath, [PROGRAM, file, String(RANDOM_READS), '4096', '1']);
        const { meanMs } = JSON.parse(output) as { meanMs: number };
        return [{ workload, unit: 'µs a read', value: meanMs * 1000 }];
      }),
  };
}
