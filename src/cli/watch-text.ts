/**
 * One picture of `status --watch`: what is arriving, how fast, from where; and first of all, in red, who waits for what
 * since when and which source fails.
 */
import { formatBytes } from '../base/units.ts';
import type { SourceStatus } from '../blocks/source-status.ts';
import type { DaemonStatus, VolumeStatus } from '../volumes/control-api.ts';
import type { ScreenLine } from './live-screen.ts';
import { bytesFetchedBy, formatDuration, sourceError, sourceState, waitingText } from './status-text.ts';
import { formatTable } from './table.ts';

/** Bytes a second at this moment. */
export interface Pace {
  readonly volume: (volume: VolumeStatus) => number;
  readonly source: (source: SourceStatus) => number;
}

const BAR_COLUMNS = 24;
/** Beside them there is little that would still say something. */
const NAME_COLUMNS = 24;
/** Whoever waits this long would be felt by a person. */
const LONG_WAIT_SECONDS = 2;

export function watchText(status: DaemonStatus, volumes: readonly VolumeStatus[], pace: Pace): ScreenLine[] {
  const { cache } = status;
  const byUrgency = volumes.toSorted((one, other) => urgency(other) - urgency(one));
  return [
    {
      text: `cache ${formatBytes(cache.bytes)} of ${formatBytes(cache.limitBytes)}; daemon up ${formatDuration(status.uptimeSeconds)}`,
    },
    { text: '' },
    ...byUrgency.flatMap((volume) => volumeLines(volume, pace.volume(volume))),
    ...(volumes.length === 0 ? [{ text: 'no volumes' }] : []),
    { text: '' },
    ...sourceLines(status.sources, pace.source),
  ];
}

/** Those who wait come first, then what fails, then what is on its way, each as the daemon lists them. */
function urgency({ waiting, state }: VolumeStatus): number {
  if (isLong(waiting)) return 3;
  if (state === 'failing') return 2;
  return state === 'prefetching' ? 1 : 0;
}

function isLong(waiting: VolumeStatus['waiting']): boolean {
  return waiting !== null && waiting.seconds >= LONG_WAIT_SECONDS;
}

function volumeLines(volume: VolumeStatus, rate: number): ScreenLine[] {
  const { name, state, bytesCached, bytesTotal, source, waiting, lastError } = volume;
  const left = bytesTotal === null ? Number.NaN : bytesTotal - bytesCached;
  const parts = [
    bytesTotal === null
      ? `${formatBytes(bytesCached)} here`
      : `${formatBytes(bytesCached)} of ${formatBytes(bytesTotal)}`,
    rate >= 1 ? `${formatBytes(rate)}/s` : '',
    left > 0 && rate >= 1 ? `${formatDuration(Math.max(1, left / rate))} left` : '',
  ];
  const head = `${shortened(name, NAME_COLUMNS).padEnd(NAME_COLUMNS)}  ${state.padEnd(11)}  ${bar(bytesCached, bytesTotal)}`;
  const fetched = bytesFetchedBy(volume);
  return [
    { text: `${head}  ${parts.filter((part) => part !== '').join(', ')}`, alarm: state === 'failing' },
    ...(fetched === '' ? [] : [{ text: `  latest from ${source}; fetched ${fetched}` }]),
    ...(waiting && isLong(waiting) ? [{ text: `  WAITING: ${waitingText(waiting)}`, alarm: true }] : []),
    ...(lastError !== null && state !== 'complete'
      ? [{ text: `  last error: ${lastError}`, alarm: state === 'failing' }]
      : []),
  ];
}

function bar(bytes: number, total: number | null): string {
  if (total === null) return `[${'?'.padEnd(BAR_COLUMNS, '.')}]   ?%`;
  const share = total === 0 ? 1 : Math.min(1, bytes / total);
  // Full, and 100 %, for what is whole alone.
  const full = Math.floor(share * BAR_COLUMNS);
  return `[${'#'.repeat(full).padEnd(BAR_COLUMNS, '.')}] ${String(Math.floor(share * 100)).padStart(3)}%`;
}

function sourceLines(sources: readonly SourceStatus[], rate: (source: SourceStatus) => number): ScreenLine[] {
  const rows = sources.map((source) => [
    source.name,
    sourceState(source),
    `${formatBytes(rate(source))}/s`,
    `${source.inFlight} of ${source.limit}`,
    String(source.blocks),
    String(source.errors),
    sourceError(source),
  ]);
  const heading = ['SOURCE', 'STATE', 'RATE', 'IN FLIGHT', 'BLOCKS', 'ERRORS', 'LAST ERROR'];
  if (rows.length === 0) return [{ text: 'no sources: only what is on this machine can be read' }];
  return formatTable([heading, ...rows]).map((text, line) => ({
    text,
    alarm: sources[line - 1]?.state === 'failing',
  }));
}

/** The beginning and the end: of a volume that is named by its CID, both tell. */
function shortened(text: string, columns: number): string {
  if (text.length <= columns) return text;
  const half = Math.floor((columns - 1) / 2);
  return `${text.slice(0, columns - 1 - half)}…${text.slice(-half)}`;
}
