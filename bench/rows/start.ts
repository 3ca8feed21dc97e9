/**
 * Rows 1 and 2: real programs started from a volume of 1 GB or more, of which they touch a few per cent: from the call of
 * Docker's that mounts it until they say that they are ready. Lazily, without and with a boot profile, each time on a
 * machine that has nothing of it; from the local disk; and after a copy of the whole by `ipfs get`, which is made once.
 *
 * The limit is what the profile names, over the link's rate, and two round trips.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Benchmark,
  dropKernelCaches,
  type Figures,
  interleave,
  partOf,
  type RunOptions,
  type Trial,
} from '../benchmark.ts';
import { run } from '../child.ts';
import { LINKS } from '../link.ts';
import { type Origin, withCopy, withLink, withOrigin } from '../origin.ts';
import { makeProgramVolume, ready, type StartProgram } from '../program-volume.ts';
import { VolumeDaemon } from '../volume-daemon.ts';

/** The copy of a GB takes 90 s by the link's rate alone. */
const COPY_LIMIT_SECONDS = 240;
const HOME = '100 Mbit/s';
const SAMPLE_MS = 25;
/** Kubo was not told to keep modes. */
const EXECUTABLE = { 'file-mode': '0555' };

export const start: Benchmark = {
  name: 'start',
  title: 'Rows 1 and 2: starts from a volume of 1 GB',
  programs: ['python3', 'du'],
  async run(options) {
    const quarter = partOf(options, 4);
    const source = join(options.workDirectory, 'source');
    const { bytes, programs } = await makeProgramVolume(source, options.quick ? 0 : undefined);
    options.note(`A volume of ${(bytes / 1024 ** 2).toFixed(0)} MiB.`);
    return withOrigin([source], LINKS.home, options.note, async (home, [cid = '']) => {
      const figures: Figures[] = [];
      for (const program of programs) {
        figures.push(...(await atLink(program, cid, source, home, HOME, quarter)));
      }
      figures.push(...(await afterCopy(programs, cid, home, options)));
      await withLink(home, LINKS.far, options.note, async (far) => {
        for (const program of programs) {
          figures.push(...(await atLink(program, cid, source, far, '1 Gbit/s', quarter)));
        }
      });
      return figures;
    });
  },
};

async function afterCopy(
  programs: readonly StartProgram[],
  cid: string,
  origin: Origin,
  options: RunOptions,
): Promise<Figures[]> {
  const contender = 'ipfs get, then start';
  const copy = join(options.workDirectory, 'copy');
  try {
    return await withCopy(origin, cid, copy, COPY_LIMIT_SECONDS, async ({ unit, value, beyond }) => {
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

interface Setting {
  readonly program: StartProgram;
  readonly cid: string;
  readonly origin: Origin;
}

async function atLink(
  program: StartProgram,
  cid: string,
  source: string,
  origin: Origin,
  speed: string,
  options: RunOptions,
): Promise<Figures[]> {
  const setting = { program, cid, origin };
  const { profile, bytes } = await record(setting);
  const { roundTripMs, bitsPerSecond } = origin.measured;
  const limit = (8 * bytes) / bitsPerSecond + (2 * roundTripMs) / 1000;
  const workload = workloadOf(program, speed);
  options.note(`${workload}: its blocks are ${(bytes / 1024 ** 2).toFixed(1)} MiB.`);
  const trial = (contender: string, measure: () => Promise<number>): Trial => ({
    contender,
    run: async () => [{ workload, unit: 's', value: await measure() }],
  });
  const figures = await interleave(
    [
      trial('ipfs-volume, with profile', () => lazily(setting, profile)),
      trial('ipfs-volume, without', () => lazily(setting, undefined)),
      trial('local disk, cold', () => {
        dropKernelCaches();
        return ready(program, source);
      }),
      trial('local disk, warm', () => ready(program, source)),
    ],
    options,
  );
  for (const [name, used] of [
    ['with profile', profile],
    ['without', undefined],
  ] as const) {
    await lazily(setting, used, (line, points) =>
      options.draw({ picture: `start, ${workload}, ${name}`, name: line, points }),
    );
  }
  return [...figures, { workload, contender: 'limit', unit: 's', values: [limit] }];
}

/** One start with no prefetch at all, which leaves a profile; `bytes` is what that names. */
async function record({ program, cid, origin }: Setting): Promise<{ profile: string; bytes: number }> {
  const daemon = await VolumeDaemon.start({ gatewayUrl: origin.gatewayUrl });
  try {
    const directory = await daemon.mount('volume', cid, { ...EXECUTABLE, prefetch: 'none' });
    await ready(program, directory);
    await daemon.unmount('volume');
    const profile = JSON.stringify(await daemon.client.profile('volume'));
    return { profile, bytes: await bytesNamed(profile, origin) };
  } finally {
    await daemon.stop();
  }
}

async function bytesNamed(profile: string, { node }: Origin): Promise<number> {
  let bytes = 0;
  for (const cid of (JSON.parse(profile) as { blocks: string[] }).blocks) {
    const answer = await fetch(`${node.rpcUrl}/api/v0/block/stat?arg=${cid}`, { method: 'POST' });
    bytes += ((await answer.json()) as { Size: number }).Size;
  }
  return bytes;
}

/** Seconds from Mount to ready on a daemon that has nothing; `draw` is given what came by then, by why it was fetched. */
async function lazily(
  { program, cid, origin }: Setting,
  profile: string | undefined,
  draw?: (name: string, points: (readonly [number, number])[]) => void,
): Promise<number> {
  const daemon = await VolumeDaemon.start({ gatewayUrl: origin.gatewayUrl });
  try {
    if (profile !== undefined) await daemon.client.importProfile(profile);
    const sinceMs = performance.now();
    const directory = await daemon.mount('volume', cid, EXECUTABLE);
    const watched = draw ? watch(daemon, sinceMs) : undefined;
    await ready(program, directory);
    const seconds = (performance.now() - sinceMs) / 1000;
    for (const [name, points] of (await watched?.stop()) ?? []) draw?.(name, points);
    return seconds;
  } finally {
    await daemon.stop();
  }
}

/** MiB that came, by priority, over seconds. */
function watch(daemon: VolumeDaemon, sinceMs: number) {
  const lines = new Map<string, [number, number][]>();
  let running = true;
  const work = (async () => {
    for (let last = false; !last; await pause(SAMPLE_MS)) {
      last = !running;
      const { fetched } = await daemon.volume('volume');
      const at = (performance.now() - sinceMs) / 1000;
      for (const [priority, { bytes }] of Object.entries(fetched)) {
        lines.set(priority, [...(lines.get(priority) ?? []), [at, bytes / 1024 ** 2]]);
      }
    }
    return lines;
  })();
  return {
    stop: () => {
      running = false;
      return work;
    },
  };
}
