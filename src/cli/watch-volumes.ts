/** `status --watch`: the daemon's status as one picture on a terminal, drawn again twice a second. */
import { setTimeout as delay } from 'node:timers/promises';
import { PRIORITIES } from '../blocks/priority.ts';
import type { VolumeStatus } from '../volumes/control-api.ts';
import type { Environment, Output } from './cli-parts.ts';
import type { DaemonClient } from './daemon-client.ts';
import { LiveScreen } from './live-screen.ts';
import { Rates } from './rate.ts';
import { selectVolume } from './status-text.ts';
import { watchText } from './watch-text.ts';

const REFRESH_MS = 500;

/** Draws until `signal` aborts, all volumes or the one named. @throws VOLUME_NOT_FOUND, DAEMON_UNREACHABLE */
export async function watchVolumes(
  daemon: DaemonClient,
  name: string | undefined,
  { output, env }: { readonly output: Output; readonly env: Environment },
  signal: AbortSignal,
): Promise<void> {
  const screen = new LiveScreen(output, { colour: !env.NO_COLOR });
  const rates = new Rates();
  try {
    while (!signal.aborted) {
      const status = await daemon.status({ signal });
      const nowMs = performance.now();
      const shown = name === undefined ? status.volumes : [selectVolume(status, name)];
      const pace = {
        volume: (volume: VolumeStatus) => rates.look(`volume ${volume.name}`, bytesFetched(volume), nowMs),
        source: (source: { name: string; bytes: number }) => rates.look(`source ${source.name}`, source.bytes, nowMs),
      };
      screen.draw(watchText(status, shown, pace, screen.columns));
      await delay(REFRESH_MS, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    screen.close();
  }
}

function bytesFetched({ fetched }: VolumeStatus): number {
  return PRIORITIES.reduce((sum, priority) => sum + fetched[priority].bytes, 0);
}
