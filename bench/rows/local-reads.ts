/**
 * Row 5: reads of blocks on the local disk, page cache dropped: 1 GiB in sequence, and 4 KiB at random. With each read
 * in sequence, the processor time that the serving process took for it (part of row 10).
 */
import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Benchmark, dropKernelCaches, type Figures, interleave, type Trial } from '../benchmark.ts';
import { run, seconds } from '../child.ts';
import { bindfs, type Contender, disk, LocalContent, type Mounted } from '../contenders.ts';

const FILE_BYTES = 1024 ** 3;
const RANDOM_READS = 2000;
const PROGRAM = new URL('../programs/random-reads.ts', import.meta.url).pathname;

export const localReads: Benchmark = {
  name: 'local-reads',
  title: 'Row 5: one file of 1 GiB, blocks local, page cache dropped',
  programs: ['bindfs', 'dd'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    await run('mkdir', ['-p', source]);
    await writeNoise(join(source, 'file'), FILE_BYTES);
    const content = new LocalContent(join(options.workDirectory, 'state'));
    const cid = await content.add(source);
    const contenders = [
      content.contender(cid, join(options.workDirectory, 'kernel'), 'kernel'),
      content.contender(cid, join(options.workDirectory, 'fuse-native'), 'fuse-native'),
      bindfs(source, join(options.workDirectory, 'bindfs')),
      disk(source),
    ];
    const processorSeconds = new Map<string, number[]>();
    const sequential = await interleave(
      contenders.map((contender) => sequentialTrial(contender, processorSeconds)),
      options,
    );
    const random = await interleave(contenders.map(randomTrial), options);
    const processor = [...processorSeconds].map(
      ([contender, values]): Figures => ({ workload: 'processor time a GiB', contender, unit: 's', values }),
    );
    return [...sequential, ...processor, ...random];
  },
};

function sequentialTrial(contender: Contender, processorSeconds: Map<string, number[]>): Trial {
  return {
    workload: 'sequential, 1 MiB reads',
    contender: contender.name,
    unit: 'MiB/s',
    run: () =>
      withMount(contender, async (mounted) => {
        const before = await processorTime(mounted.processId);
        dropKernelCaches();
        const taken = await seconds('dd', [`if=${mounted.directory}/file`, 'of=/dev/null', 'bs=1M', 'status=none']);
        if (mounted.processId !== undefined) {
          const spent = (await processorTime(mounted.processId)) - before;
          processorSeconds.set(contender.name, [...(processorSeconds.get(contender.name) ?? []), spent]);
        }
        return FILE_BYTES / 1024 ** 2 / taken;
      }),
  };
}

function randomTrial(contender: Contender): Trial {
  return {
    workload: `${RANDOM_READS} random reads of 4 KiB, one at a time`,
    contender: contender.name,
    unit: 'µs a read',
    run: () =>
      withMount(contender, async (mounted) => {
        dropKernelCaches();
        const output = await run(process.execPath, [
          PROGRAM,
          join(mounted.directory, 'file'),
          String(RANDOM_READS),
          '4096',
        ]);
        return Number(output);
      }),
  };
}

async function withMount(contender: Contender, work: (mounted: Mounted) => Promise<number>): Promise<number> {
  const mounted = await contender.mount();
  try {
    return await work(mounted);
  } finally {
    await mounted.unmount();
  }
}

/** User and system seconds of a process so far: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms (proc(5)). */
async function processorTime(processId: number | undefined): Promise<number> {
  if (processId === undefined) return 0;
  const stat = await readFile(`/proc/${processId}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Bytes that no layer can compress or de-duplicate, the same at each run. */
async function writeNoise(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'w');
  const piece = Buffer.alloc(1024 ** 2);
  for (let written = 0, number = 0; written < sizeBytes; written += piece.length, number++) {
    createHash('shake256', { outputLength: piece.length }).update(String(number)).digest().copy(piece);
    await file.write(piece);
  }
  await file.sync();
  await file.close();
}
