/**
 * Bars of the volumes' progress on a terminal, drawn again twice a second from the daemon's status.
 *
 * The rate is that of the last few seconds, weighted toward now; the source named is the one that sent the latest block. A volume whose total is not known yet has a bar that waits at zero.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { MultiBar, type SingleBar } from 'cli-progress';
import { formatBytes } from '../base/units.ts';
import type { VolumeStatus } from '../volumes/control-api.ts';
import type { Output } from './cli-parts.ts';
import type { DaemonClient } from './daemon-client.ts';
import { fetchedOf, formatDuration, selectVolume } from './status-text.ts';

const REFRESH_MS = 500;
/** Share of the newest picture in the rate: half of what is shown is younger than two seconds. */
const RATE_WEIGHT = 0.2;

interface Row {
  readonly bar: SingleBar;
  bytes: number;
  atMs: number;
  rate: number;
}

/** Draws until `signal` aborts, of all volumes or of the one named. @throws VOLUME_NOT_FOUND, DAEMON_UNREACHABLE */
export async function watchVolumes(
  daemon: DaemonClient,
  name: string | undefined,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const bars = new MultiBar({
    stream: output as NodeJS.WriteStream,
    format: '{name} [{bar}] {percentage}% {bytes} of {total_bytes}, {rate}/s, {left}{source}{fetched}',
    hideCursor: true,
  });
  const rows = new Map<string, Row>();
  try {
    while (!signal.aborted) {
      const status = await daemon.status({ signal });
      const shown = name === undefined ? status.volumes : [selectVolume(status, name)];
      for (const [key, row] of rows) {
        if (!shown.some((volume) => volume.name === key)) {
          bars.remove(row.bar);
          rows.delete(key);
        }
      }
      for (const volume of shown) drawRow(bars, rows, volume);
      await delay(REFRESH_MS, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    bars.stop();
  }
}

function drawRow(bars: MultiBar, rows: Map<string, Row>, volume: VolumeStatus): void {
  const nowMs = performance.now();
  const total = volume.bytesTotal ?? 0;
  let row = rows.get(volume.name);
  if (row) {
    const newest = ((volume.bytesCached - row.bytes) * 1000) / Math.max(1, nowMs - row.atMs);
    row.rate += RATE_WEIGHT * (Math.max(0, newest) - row.rate);
  }
  const rate = row?.rate ?? 0;
  const remaining = total - volume.bytesCached;
  const payload = {
    name: volume.name,
    bytes: formatBytes(volume.bytesCached),
    total_bytes: volume.bytesTotal === null ? 'unknown' : formatBytes(total),
    rate: formatBytes(rate),
    left: remaining <= 0 ? volume.state : rate > 1 ? `${formatDuration(remaining / rate)} left` : volume.state,
    source: remaining > 0 && volume.source ? `, from ${volume.source}` : '',
    fetched: `; ${fetchedOf(volume)}`,
  };
  // A bar of total zero is drawn full; one of one byte waits.
  row ??= { bar: bars.create(Math.max(1, total), 0, payload), bytes: 0, atMs: nowMs, rate: 0 };
  row.bytes = volume.bytesCached;
  row.atMs = nowMs;
  rows.set(volume.name, row);
  row.bar.setTotal(Math.max(1, total));
  row.bar.update(Math.min(volume.bytesCached, total), payload);
}
