/**
 * Row 3: one large file from front to back, cold, over a link of 1 Gbit/s and 50 ms: the speed in all, and behind the
 * first four round trips, as a share of the link. With it the processor time a MiB of everybody at the reader's end (part
 * of row 10).
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type Benchmark, interleave, type Measured, type Trial } from '../benchmark.ts';
import { run } from '../child.ts';
import { LINKS, type LinkSpeed } from '../link.ts';
import { writeNoise } from '../noise.ts';
import { type Origin, startReader, withOrigin } from '../origin.ts';
import { peakMemoryBytes, processorSeconds } from '../process-cost.ts';
import {
  kuboMount,
  NO_PREFETCH,
  type RemoteContender,
  rcloneMount,
  remoteTrial,
  type Seen,
  throughGateway,
  throughKubo,
} from '../remote.ts';

const PROGRAM = new URL('../programs/stream-read.ts', import.meta.url).pathname;
/** A peer that is far slower than the link is read no longer than this. */
const LIMIT_SECONDS = 12;
const SLOW_ROUNDS = 3;

interface Stream {
  readonly bytes: number;
  readonly seconds: number;
  readonly samples: readonly (readonly [number, number])[];
}

export const stream: Benchmark = {
  name: 'stream',
  title: 'Row 3: one file from front to back, cold, 1 Gbit/s and 50 ms',
  programs: ['rclone'],
  async run(options) {
    const sizeBytes = (options.quick ? 256 : 1024) * 1024 ** 2;
    await writeNoise(join(options.workDirectory, 'source', 'file'), sizeBytes);
    options.note(`A file of ${sizeBytes / 1024 ** 2} MiB in blocks of 1 MiB; readers stop after ${LIMIT_SECONDS} s.`);
    return withOrigin([join(options.workDirectory, 'source')], LINKS.far, options.note, (origin, [cid = '']) => {
      const mount = (contender: RemoteContender): Trial =>
        remoteTrial(contender, cid, (seen) => measure(seen, origin.measured), NO_PREFETCH);
      return interleave(
        [
          mount(throughGateway(origin)),
          mount(throughKubo(origin)),
          { ...catTrial(cid, origin), rounds: SLOW_ROUNDS },
          { ...mount(kuboMount(origin)), rounds: SLOW_ROUNDS },
          { ...mount(rcloneMount(origin)), rounds: SLOW_ROUNDS },
        ],
        options,
      );
    });
  },
};

/** Reads a file from front to back, from another process. */
export async function readStream(file: string, limitSeconds: number): Promise<Stream> {
  return JSON.parse(await run(process.execPath, [PROGRAM, file, String(limitSeconds)])) as Stream;
}

async function measure({ directory, processIds }: Seen, link: LinkSpeed): Promise<Measured[]> {
  const before = await processorSeconds(processIds);
  const read = await readStream(join(directory, 'file'), LIMIT_SECONDS);
  return [...speeds(read, link), ...(await costs(read, processIds, before))];
}

function catTrial(cid: string, origin: Origin): Trial {
  return {
    contender: 'ipfs cat',
    async run() {
      const reader = await startReader(origin);
      try {
        const before = await processorSeconds([reader.processId]);
        const read = await new Promise<string>((resolve, reject) => {
          const cat = spawn(reader.program, ['cat', `${cid}/file`], { env: reader.environment });
          const counter = spawn(process.execPath, [PROGRAM, '-', String(LIMIT_SECONDS)], {
            stdio: [cat.stdout, 'pipe', 'inherit'],
          });
          let output = '';
          counter.stdout?.on('data', (text) => {
            output += text;
          });
          counter.once('error', reject).once('close', () => resolve(output));
          cat.once('error', reject);
        });
        const found = JSON.parse(read) as Stream;
        return [...speeds(found, origin.measured), ...(await costs(found, [reader.processId], before))];
      } finally {
        await reader.stop();
      }
    },
  };
}

function speeds({ bytes, seconds, samples }: Stream, link: LinkSpeed): Measured[] {
  const warmedUp = (4 * link.roundTripMs) / 1000;
  const [atSeconds = 0, atBytes = 0] = samples.find(([second]) => second >= warmedUp) ?? [];
  const share = (8 * (bytes - atBytes)) / (seconds - atSeconds) / link.bitsPerSecond;
  return [
    { workload: 'whole read', unit: 'MiB/s', value: bytes / 1024 ** 2 / seconds },
    { workload: 'share of the link behind four round trips', unit: '%', value: 100 * share },
  ];
}

async function costs({ bytes }: Stream, processIds: readonly number[], before: number): Promise<Measured[]> {
  const spentMs = 1000 * ((await processorSeconds(processIds)) - before);
  return [
    { workload: 'processor time a MiB', unit: 'ms', value: spentMs / (bytes / 1024 ** 2) },
    { workload: 'peak memory', unit: 'MiB', value: (await peakMemoryBytes(processIds)) / 1024 ** 2 },
  ];
}
