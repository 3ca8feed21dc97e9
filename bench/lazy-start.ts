/** One start of a program from a volume that is far away, on a daemon that has nothing of it. */
import { setTimeout as pause } from 'node:timers/promises';
import { CID } from 'multiformats/cid';
import type { Series } from './benchmark.ts';
import type { Origin } from './origin.ts';
import { ready, type StartProgram } from './program-volume.ts';
import { sizeOfBlock } from './shipped-volume.ts';
import { VolumeDaemon } from './volume-daemon.ts';

/** Between two looks at what came. */
const SAMPLE_MS = 40;
/** Kubo was not told to keep modes. */
const EXECUTABLE = { 'file-mode': '0555' };

export interface Setting {
  readonly program: StartProgram;
  readonly cid: string;
  readonly origin: Origin;
}

/** What a run needed. */
export interface Recorded {
  readonly profile: string;
  /** Of the blocks that it names. */
  readonly bytes: number;
}

type Points = Series['points'];

/** A start with no prefetch at all, which leaves a profile. */
export async function recordStart({ program, cid, origin }: Setting): Promise<Recorded> {
  const daemon = await VolumeDaemon.start({ gatewayUrl: origin.gatewayUrl });
  try {
    const mountpoint = await daemon.mount('volume', cid, { ...EXECUTABLE, prefetch: 'none' });
    await ready(program, await daemon.bind(mountpoint));
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
    bytes += await sizeOfBlock(node, CID.parse(cid));
  }
  return bytes;
}

/** Seconds from Mount to ready; `draw` is given the MiB that came by then, a line for each reason why they were fetched. */
export async function lazyStart(
  { program, cid, origin }: Setting,
  profile: string | undefined,
  draw?: (reason: string, points: Points) => void,
): Promise<number> {
  const daemon = await VolumeDaemon.start({ gatewayUrl: origin.gatewayUrl });
  try {
    if (profile !== undefined) await daemon.client.importProfile(profile);
    const sinceMs = performance.now();
    const mountpoint = await daemon.mount('volume', cid, EXECUTABLE);
    const watched = draw ? watch(daemon, sinceMs) : undefined;
    await ready(program, await daemon.bind(mountpoint));
    const seconds = (performance.now() - sinceMs) / 1000;
    for (const [reason, points] of (await watched?.stop()) ?? []) draw?.(reason, points);
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
