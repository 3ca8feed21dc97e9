/** How far one volume has come, as a line now and then: for logs and pipes, where `watchVolumes` has no terminal to draw on. */
import { setTimeout as delay } from 'node:timers/promises';
import { formatBytes } from '../base/units.ts';
import type { DaemonStatus, VolumeStatus } from '../volumes/control-api.ts';
import type { Output } from './cli-parts.ts';
import type { DaemonClient } from './daemon-client.ts';
import { selectVolume, sourceError, sourceState } from './status-text.ts';

/** Until `signal` aborts, the first after `intervalMs`. @throws VOLUME_NOT_FOUND, DAEMON_UNREACHABLE */
export async function reportProgress(
  daemon: Pick<DaemonClient, 'status'>,
  name: string,
  output: Output,
  intervalMs: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    while (!signal.aborted) {
      await delay(intervalMs, undefined, { signal });
      const status = await daemon.status({ signal });
      output.write(`${progressLine(status, selectVolume(status, name))}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** `models: 12 MiB of 4.1 GiB; gateway https://… FAILING 2 min: no answer within 20 s (3 s ago)` */
function progressLine({ sources }: DaemonStatus, { name, bytesCached, bytesTotal }: VolumeStatus): string {
  const of = bytesTotal === null ? 'here, of a size not known yet' : `of ${formatBytes(bytesTotal)}`;
  const failing = sources.filter(({ state }) => state === 'failing');
  const why = failing.map((source) => `; ${source.name} ${sourceState(source)}: ${sourceError(source)}`).join('');
  return `${name}: ${formatBytes(bytesCached)} ${of}${why}`;
}
