/**
 * Rows 1 and 2: real programs started from a volume of 1 GB or more, of which they touch a few per cent: from the call of
 * Docker's that mounts it until they say that they are ready. Lazily, without a boot profile, with one that is kept here, and
 * with one that came with the content, each time on a machine that has nothing of it; from the local disk; and after a copy of the whole by `ipfs get`, which is made once.
 *
 * The limit is what the profile names, over the link's rate, and two round trips.
 */
import { join } from 'node:path';
import {
  type Benchmark,
  dropKernelCaches,
  type Figures,
  interleave,
  partOf,
  type RunOptions,
  type Series,
  type Trial,
} from '../benchmark.ts';
import { run } from '../child.ts';
import { lazyStart, type Recorded, recordStart, type Setting } from '../lazy-start.ts';
import { LINKS } from '../link.ts';
import { type Origin, withCopy, withLink, withOrigin } from '../origin.ts';
import { makeProgramVolume, ready, type StartProgram } from '../program-volume.ts';
import { shipProfile } from '../shipped-volume.ts';

/** The copy of a GB takes 90 s by the link's rate alone. */
const COPY_LIMIT_SECONDS = 240;
const HOME = '100 Mbit/s';
const FAR = '1 Gbit/s';

export const start: Benchmark = {
  name: 'start',
  title: 'Rows 1 and 2: starts from a volume of 1 GB',
  programs: ['python3', 'du'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    const { bytes, programs } = await makeProgramVolume(source, options.quick ? 0 : undefined);
    options.note(
      `A volume of ${(bytes / 1024 ** 2).toFixed(0)} MiB; its copy is made once, and ended after ${COPY_LIMIT_SECONDS} s.`,
    );
    return withOrigin([source], LINKS.home, options.note, async (home, [cid = '']) => {
      const figures: Figures[] = [];
      await withLink(home, LINKS.far, options.note, async (far) => {
        for (const program of programs) {
          const recorded = await recordStart({ program, cid, origin: far });
          const shipped = await shipProfile(far.node, cid, recorded.profile);
          options.note(`${program.name}: its blocks are ${(recorded.bytes / 1024 ** 2).toFixed(1)} MiB.`);
          for (const [origin, speed] of [[home, HOME] as const, [far, FAR] as const]) {
            const part = partOf(options, 2 * programs.length);
            figures.push(...(await atLink({ program, cid, origin }, speed, { ...recorded, shipped }, source, part)));
          }
        }
      });
      return [...figures, ...(await afterCopy(programs, cid, home, options))];
    });
  },
};

async function atLink(
  setting: Setting,
  speed: string,
  { profile, bytes, shipped }: Recorded & { readonly shipped: string },
  source: string,
  options: RunOptions,
): Promise<Figures[]> {
  const { program, origin } = setting;
  const { roundTripMs, bitsPerSecond } = origin.measured;
  const limit = (8 * bytes) / bitsPerSecond + (2 * roundTripMs) / 1000;
  const workload = workloadOf(program, speed);
  const trial = (contender: string, measure: () => Promise<number>): Trial => ({
    contender,
    run: async () => [{ workload, unit: 's', value: await measure() }],
  });
  /** The first of them is drawn, over the slower link. */
  const lazily = (contender: string, used: string | undefined, cid = setting.cid): Trial => {
    let drawn = speed !== HOME;
    return trial(`ipfs-volume, ${contender}`, () => {
      const picture = `start, ${workload}, ${contender}`;
      const draw = drawn
        ? undefined
        : (name: string, points: Series['points']) => options.draw({ picture, name, points });
      drawn = true;
      return lazyStart({ ...setting, cid }, used, draw);
    });
  };
  const figures = await interleave(
    [
      lazily('profile shipped', undefined, shipped),
      lazily('with profile', profile),
      lazily('without profile', undefined),
      trial('local disk, cold', () => {
        dropKernelCaches();
        return ready(program, source);
      }),
      trial('local disk, warm', () => ready(program, source)),
    ],
    options,
  );
  return [...figures, { workload, contender: 'limit', unit: 's', values: [limit] }];
}

async function afterCopy(
  programs: readonly StartProgram[],
  cid: string,
  origin: Origin,
  options: RunOptions,
): Promise<Figures[]> {
  const contender = 'ipfs get, then start';
  const copy = join(options.workDirectory, 'copy');
  const limitSeconds = options.quick ? COPY_LIMIT_SECONDS / 10 : COPY_LIMIT_SECONDS;
  try {
    return await withCopy(origin, cid, copy, limitSeconds, async ({ unit, value, beyond }) => {
      options.say(`  ipfs get: ${beyond ? '> ' : ''}${value.toFixed(0)} s`);
      // Kubo was not told to keep modes.
      if (!beyond) await run('chmod', ['-R', 'a+rx', join(copy, 'python', 'bin')]);
      const figures: Figures[] = [];
      for (const program of programs) {
        const values = [value + (beyond ? 0 : await ready(program, copy))];
        figures.push({ workload: workloadOf(program, HOME), contender, unit, values, beyond });
      }
      return figures;
    });
  } catch (error) {
    options.fail(`${contender} failed: ${(error as Error).message}`);
    return [];
  }
}

function workloadOf(program: StartProgram, speed: string): string {
  return `${program.name}, ${speed}`;
}
