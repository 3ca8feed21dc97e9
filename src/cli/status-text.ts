/** The daemon's status as lines for people. For machines there is `--json`. */
import { CodedError } from '../base/errors.ts';
import { formatBytes, formatCount } from '../base/units.ts';
import type { SourceStatus } from '../blocks/source-status.ts';
import type { DaemonStatus, VolumeStatus } from '../volumes/control-api.ts';
import { formatTable } from './table.ts';

/** @throws VOLUME_NOT_FOUND */
export function selectVolume(status: DaemonStatus, name: string): VolumeStatus {
  const volume = status.volumes.find((candidate) => candidate.name === name);
  if (!volume) throw new CodedError('VOLUME_NOT_FOUND', `no such volume: ${name}`);
  return volume;
}

/** `elsewhere`: the daemon sees other files than whoever reads this, so its paths are marked. */
export function describeDaemon(status: DaemonStatus, elsewhere: boolean): string[] {
  const { store, cache } = status;
  const place = placeText(elsewhere);
  const restarts = status.restarts > 0 ? `, ${formatCount(status.restarts, 'restart')} since the mount was made` : '';
  const wanted = Object.entries(status.blocksByPriority).map(([priority, blocks]) => `${blocks} ${priority}`);
  return [
    ...formatTable([
      ['VOLUME', 'STATE', 'MOUNTS', 'HERE', 'OF', 'REFERENCE'],
      ...status.volumes.map((v) => [v.name, v.state, String(v.mounts), hereOf(v), totalOf(v), v.reference]),
    ]),
    ...troubles(status),
    '',
    ...formatTable([
      ['SOURCE', 'STATE', 'BLOCKS', 'BYTES', 'ERRORS', 'IN FLIGHT', 'WINDOW', 'LAST ERROR'],
      ...status.sources.map(sourceRow),
    ]),
    '',
    ...formatTable([
      [
        'local store',
        `${formatBytes(store.bytes)} in ${formatCount(store.blocks, 'block')}, ${formatCount(store.roots, 'root')}`,
      ],
      [
        'cache',
        `${formatBytes(cache.bytes)} of ${formatBytes(cache.limitBytes)} in ${formatCount(cache.blocks, 'block')}` +
          cacheTrouble(status),
      ],
      ['blocks fetched', wanted.join(', ')],
      ['mount root', status.mountRoot + place],
      ['state', status.stateDirectory + place],
      ['daemon', `version ${status.version}, up ${formatDuration(status.uptimeSeconds)}${restarts}`],
    ]),
  ];
}

/** `; nothing is cached: …`, behind what the cache holds; '' where all is well. */
export function cacheTrouble({ cache: { trouble } }: DaemonStatus): string {
  return trouble === null ? '' : `; ${trouble}`;
}

/** Blocks fetched by why they were: `9 (3 demand, 6 background)`. */
function fetchedOf({ blocksFetched, fetched }: VolumeStatus): string {
  const parts = Object.entries(fetched).filter(([, { blocks }]) => blocks > 0);
  const reasons = parts.map(([priority, { blocks }]) => `${blocks} ${priority}`).join(', ');
  return `${blocksFetched}${reasons && ` (${reasons})`}`;
}

/** Bytes fetched by why they were: `300 KiB demand (3 blocks)`, `1.2 GiB background (1200 blocks)`. */
export function bytesFetchedBy({ fetched }: VolumeStatus): string[] {
  const parts = Object.entries(fetched).filter(([, { blocks }]) => blocks > 0);
  return parts.map(
    ([priority, { blocks, bytes }]) => `${formatBytes(bytes)} ${priority} (${formatCount(blocks, 'block')})`,
  );
}

/** `3 readers, the longest for 42 s, on bytes 0 to 4095 of bafk…` */
export function waitingText({ readers, seconds, for: what }: NonNullable<VolumeStatus['waiting']>): string {
  const who = readers === 1 ? '1 reader' : `${readers} readers, the longest`;
  return `${who} for ${formatDuration(seconds)}, on ${what}`;
}

export function sourceState({ state, failingSeconds }: SourceStatus): string {
  return state === 'failing' ? `FAILING ${formatDuration(failingSeconds ?? 0)}` : state;
}

/** `refused the connection (3 s ago)`: the name that most of them begin with stands in the same row already; '' for none. */
export function sourceError({ name, lastError, lastErrorSecondsAgo }: SourceStatus): string {
  if (lastError === null) return '';
  const text = lastError.startsWith(`${name} `) ? lastError.slice(name.length + 1) : lastError;
  return `${text} (${formatDuration(lastErrorSecondsAgo ?? 0)} ago)`;
}

/** `block bafk… did not come (3 min ago)`; '' for none. */
export function volumeError({ lastError, lastErrorSecondsAgo }: VolumeStatus): string {
  return lastError === null ? '' : `${lastError} (${formatDuration(lastErrorSecondsAgo ?? 0)} ago)`;
}

/** Who waits, and what went wrong last, by volume. */
function troubles({ volumes }: DaemonStatus): string[] {
  return volumes.flatMap((volume) => {
    const { name, waiting, state } = volume;
    const error = state === 'complete' ? '' : volumeError(volume);
    return [
      ...(waiting ? [`${name}: waiting: ${waitingText(waiting)}`] : []),
      ...(error === '' ? [] : [`${name}: last error: ${error}`]),
    ];
  });
}

/** `elsewhere`: as for `describeDaemon`. */
export function describeVolume(volume: VolumeStatus, elsewhere: boolean): string[] {
  const options = Object.entries(volume.options).map(([key, value]) => `${key}=${value}`);
  const rows: [string, string][] = [
    ['volume', volume.name],
    ['reference', volume.reference],
    ['cid', (volume.cid ?? 'not resolved yet') + (volume.path && `, path ${volume.path}`)],
    ['state', volume.state],
    ['mounted', mountedText(volume, elsewhere)],
    ['here', `${hereOf(volume)} of ${totalOf(volume)}`],
    ['blocks fetched', fetchedOf(volume)],
    ['latest from', volume.source ?? 'none'],
    ['boot profile', volume.profile ?? 'none'],
    ['created', volume.createdAt],
    ['options', options.join(' ') || 'none'],
  ];
  if (volume.waiting) rows.push(['waiting', waitingText(volume.waiting)]);
  if (volume.stopped) rows.push(['stopped', volume.stopped]);
  if (volume.lastError) rows.push(['last error', volumeError(volume)]);
  return formatTable(rows);
}

function mountedText({ mounts, mountpoint }: VolumeStatus, elsewhere: boolean): string {
  return mountpoint === null ? 'no' : `${formatCount(mounts, 'time')}, at ${mountpoint}${placeText(elsewhere)}`;
}

function placeText(elsewhere: boolean): string {
  return elsewhere ? ' (as the daemon sees it)' : '';
}

/** `1 d 2 h`, `3 min`, `12 s`: the two largest units that matter. */
export function formatDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

function hereOf({ counted, bytesCached }: VolumeStatus): string {
  return counted ? formatBytes(bytesCached) : '?';
}

function totalOf(volume: VolumeStatus): string {
  return volume.bytesTotal === null ? 'unknown' : formatBytes(volume.bytesTotal);
}

function sourceRow(source: SourceStatus): string[] {
  return [
    source.name,
    sourceState(source),
    String(source.blocks),
    formatBytes(source.bytes),
    String(source.errors),
    String(source.inFlight),
    String(source.limit),
    sourceError(source),
  ];
}
