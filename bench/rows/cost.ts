/**
 * Row 10: processor time and memory. A stream of 1 GiB from a gateway near by, from verifying to FUSE, and how much of it the
 * cache kept, which costs most of what varies; and the most memory
 * that a daemon had after `find` over a volume and a stream of it, for a small volume and for one of 100 GB and a million
 * entries, each without a background fill and with one on its way.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Benchmark, interleave, partOf, type Trial } from '../benchmark.ts';
import { run } from '../child.ts';
import { type GeneratedGateway, startGenerated } from '../generated.ts';
import { peakMemoryBytes, processorSeconds } from '../process-cost.ts';
import { VolumeDaemon } from '../volume-daemon.ts';

const PROGRAM = new URL('../programs/stream-read.ts', import.meta.url).pathname;
const LIMIT_SECONDS = 60;
/** A walk over a million entries takes a while, and memory varies little. */
const ROUNDS = 3;

export const cost: Benchmark = {
  name: 'cost',
  title: 'Row 10: processor time a MiB, and peak memory',
  programs: ['find'],
  async run(options) {
    const streamMebibytes = options.quick ? 256 : 1024;
    const directories = options.quick ? 50 : 1000;
    const flat = { directories: 0, entriesEach: 0 };
    const generated = await startGenerated([
      { ...flat, files: 1, leavesEach: streamMebibytes, differentLeaves: streamMebibytes },
      { files: 1, leavesEach: 256, differentLeaves: 256, directories: 1, entriesEach: 1000 },
      { files: 61, leavesEach: 1600, differentLeaves: 512, directories, entriesEach: 1000 },
    ]);
    options.note('From a gateway of generated content on this machine; the daemon alone, its supervisor apart.');
    const [file = '', small = '', large = ''] = generated.cids;
    try {
      const stream = await interleave([streamTrial(generated, file, streamMebibytes)], partOf(options, 3));
      const memory = await interleave(
        [
          ...memoryTrials(generated, '256 MiB and 1,000 entries', small),
          ...memoryTrials(generated, `100 GB and ${directories},000 entries`, large),
        ],
        options,
      );
      return [...stream, ...memory];
    } finally {
      await generated.close();
    }
  },
};

function streamTrial(generated: GeneratedGateway, cid: string, mebibytes: number): Trial {
  return {
    contender: 'ipfs-volume',
    async run() {
      const daemon = await VolumeDaemon.start({ gatewayUrl: generated.url });
      try {
        const directory = await daemon.mount('volume', cid, { prefetch: 'none' });
        const before = await processorSeconds([daemon.processId]);
        await run(process.execPath, [PROGRAM, join(directory, 'file-0'), String(LIMIT_SECONDS)]);
        const spentMs = 1000 * ((await processorSeconds([daemon.processId])) - before);
        const { cache } = await daemon.client.status();
        return [
          { workload: 'stream: processor time a MiB', unit: 'ms', value: spentMs / mebibytes },
          {
            workload: 'stream: of it kept by the cache',
            unit: '%',
            value: (100 * cache.bytes) / 1024 ** 2 / mebibytes,
          },
        ];
      } finally {
        await daemon.stop();
      }
    },
  };
}

function memoryTrials(generated: GeneratedGateway, size: string, cid: string): readonly Trial[] {
  return [
    memoryTrial(generated, size, cid, { prefetch: 'none' }),
    memoryTrial(generated, `${size}, being filled`, cid, { prefetch: 'auto' }),
  ];
}

function memoryTrial(
  generated: GeneratedGateway,
  contender: string,
  cid: string,
  options: { readonly prefetch: string },
): Trial {
  return {
    contender,
    rounds: ROUNDS,
    async run() {
      const daemon = await VolumeDaemon.start({ gatewayUrl: generated.url });
      try {
        const children = await readFile(`/proc/${daemon.processId}/task/${daemon.processId}/children`, 'utf8');
        const served = children.split(' ').filter(Boolean).map(Number);
        const mebibytes = async () => (await peakMemoryBytes(served)) / 1024 ** 2;
        const directory = await daemon.mount('volume', cid, options);
        const atMount = await mebibytes();
        await run('find', [directory, '-type', 'f', '-size', '0']);
        const afterFind = await mebibytes();
        await run(process.execPath, [PROGRAM, join(directory, 'file-0'), String(LIMIT_SECONDS)]);
        return [
          { workload: 'peak memory at mount', unit: 'MiB', value: atMount },
          { workload: 'peak memory after find', unit: 'MiB', value: afterFind },
          { workload: 'peak memory after find and a stream', unit: 'MiB', value: await mebibytes() },
        ];
      } finally {
        await daemon.stop();
      }
    },
  };
}
