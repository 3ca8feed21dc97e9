/**
 * One picture of `status --watch`: what is arriving, how fast, from where; and first of all, in red, who waits for what
 * since when and which source fails.
 */
import { formatBytes } from '../base/units.ts';
import type { SourceStatus } from '../blocks/source-status.ts';
import type { DaemonStatus, VolumeStatus } from '../volumes/control-api.ts';
import type { ScreenLine } from './live-screen.ts';
import {
  bytesFetchedBy,
  cacheTrouble,
  formatDuration,
  sourceError,
  sourceState,
  volumeError,
  waitingText,
} from './status-text.ts';
import { formatTable } from './table.ts';

/** Bytes a second at this moment. */
export interface Pace {
  readonly volume: (volume: VolumeStatus) => number;
  readonly source: (source: SourceStatus) => number;
}

const BAR_COLUMNS = 24;
/** A shorter one is none. */
const LEAST_BAR_COLUMNS = 4;
/** Beside more of a name, and in less of it, there is little that would still say something. */
const NAME_COLUMNS = { most: 24, least: 8 };
/** Between a name and the sizes: state, share and the gaps around them. */
const STATE_COLUMNS = 11;
const HEAD_COLUMNS = 2 + STATE_COLUMNS + 2 + '100%'.length + 2;
/** What the bar gives way to, at its longest; the time left is worth more than a long bar, and less than a short one. */
const SIZES_COLUMNS = '1023 MiB of 1023 MiB, 1023 KiB/s'.length;
const TIME_COLUMNS = ', 12 min 30 s left'.length;
const SHORT_BAR_COLUMNS = 10;
/** Whoever waits this long would be felt by a person. */
const LONG_WAIT_SECONDS = 2;

export function watchText(
  status: DaemonStatus,
  volumes: readonly VolumeStatus[],
  pace: Pace,
  columns: number,
): ScreenLine[] {
  const { cache } = status;
  const widths = widthsOf(volumes, columns - 1);
  const byUrgency = volumes.toSorted((one, other) => urgency(other) - urgency(one));
  return [
    {
      text: `cache ${formatBytes(cache.bytes)} of ${formatBytes(cache.limitBytes)}${cacheTrouble(status)}; daemon up ${formatDuration(status.uptimeSeconds)}`,
      alarm: cache.trouble !== null,
    },
    { text: '' },
    ...byUrgency.flatMap((volume) => volumeLines(volume, pace.volume(volume), widths)),
    ...(volumes.length === 0 ? [{ text: 'no volumes' }] : []),
    { text: '' },
    ...sourceLines(status.sources, pace.source, columns - 1),
  ];
}

/** What was fetched, on whose account and of whom: in one line, or in as many of so many columns as it takes. */
function fetchedLines(volume: VolumeStatus, columns: number): string[] {
  const [first, ...others] = bytesFetchedBy(volume);
  if (first === undefined) return [];
  const source = `  latest from ${volume.source}`;
  const lines = [`  fetched ${first}`];
  for (const item of others) {
    const longer = `${lines.at(-1)}, ${item}`;
    if (longer.length <= columns) lines[lines.length - 1] = longer;
    else lines.push(`    ${item}`);
  }
  const whole = `${source}; ${lines[0]?.trim()}`;
  return lines.length === 1 && whole.length <= columns ? [whole] : [source, ...lines];
}

interface Widths {
  readonly columns: number;
  readonly name: number;
  /** 0 for none. */
  readonly bar: number;
}

/** The same whatever comes at the moment, so that nothing jumps: names in full, then sizes and rate, then the bar. */
function widthsOf(volumes: readonly VolumeStatus[], columns: number): Widths {
  const longest = Math.max(0, ...volumes.map(({ name }) => name.length));
  const name = Math.max(
    NAME_COLUMNS.least,
    Math.min(longest, NAME_COLUMNS.most, columns - HEAD_COLUMNS - SIZES_COLUMNS),
  );
  // Its brackets, and the gap behind them.
  const room = columns - name - HEAD_COLUMNS - SIZES_COLUMNS - 3;
  const bar = Math.min(BAR_COLUMNS, Math.max(room - TIME_COLUMNS, Math.min(room, SHORT_BAR_COLUMNS)));
  return { columns, name, bar: bar < LEAST_BAR_COLUMNS ? 0 : bar };
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

function volumeLines(volume: VolumeStatus, rate: number, widths: Widths): ScreenLine[] {
  const { name, state, bytesCached, bytesToCome, counted, bytesTotal, waiting } = volume;
  const left = bytesToCome ?? Number.NaN;
  const error = state === 'complete' ? '' : volumeError(volume);
  const parts = [
    bytesTotal === null
      ? `${counted ? formatBytes(bytesCached) : '?'} here`
      : `${formatBytes(bytesCached)} of ${formatBytes(bytesTotal)}`,
    rate >= 1 ? `${formatBytes(rate)}/s` : '',
    left > 0 && rate >= 1 ? `${formatDuration(Math.max(1, left / rate))} left` : '',
  ];
  const head = `${shortened(name, widths.name).padEnd(widths.name)}  ${state.padEnd(STATE_COLUMNS)}  ${bar(bytesCached, bytesTotal, widths.bar)}`;
  return [
    { text: `${head}  ${parts.filter((part) => part !== '').join(', ')}`, alarm: state === 'failing' },
    ...fetchedLines(volume, widths.columns).map((text) => ({ text })),
    ...(waiting && isLong(waiting) ? [{ text: `  WAITING: ${waitingText(waiting)}`, alarm: true }] : []),
    ...(error === '' ? [] : [{ text: `  last error: ${error}`, alarm: state === 'failing' }]),
  ];
}

/** The share with a bar of so many columns before it, or of none. */
function bar(bytes: number, total: number | null, columns: number): string {
  const drawn = (text: string) => (columns > 0 ? `[${text.padEnd(columns, '.')}] ` : '');
  if (total === null) return `${drawn('?')}  ?%`;
  const share = total === 0 ? 1 : Math.min(1, bytes / total);
  // Full, and 100 %, for what is whole alone.
  return `${drawn('#'.repeat(Math.floor(share * columns)))}${String(Math.floor(share * 100)).padStart(3)}%`;
}

function sourceLines(
  sources: readonly SourceStatus[],
  rate: (source: SourceStatus) => number,
  columns: number,
): ScreenLine[] {
  const rows = sources.map((source) => [
    source.name,
    sourceState(source),
    `${formatBytes(rate(source))}/s`,
    String(source.inFlight),
    String(source.limit),
    String(source.blocks),
    String(source.errors),
    sourceError(source),
  ]);
  const heading = ['SOURCE', 'STATE', 'RATE', 'IN FLIGHT', 'WINDOW', 'BLOCKS', 'ERRORS', 'LAST ERROR'];
  if (rows.length === 0) return [{ text: 'no sources: only what is on this machine can be read' }];
  const alarmOf = (line: number) => sources[line - 1]?.state === 'failing';
  const table = [heading, ...rows];
  const lines = formatTable(table);
  if (lines.every((line) => line.length <= columns)) return lines.map((text, line) => ({ text, alarm: alarmOf(line) }));
  // What went wrong is the last to be cut: below its source where there is no room beside it.
  return formatTable(table.map((row) => row.slice(0, -1))).flatMap((text, line) => {
    const error = line === 0 ? '' : (table[line]?.at(-1) ?? '');
    const alarm = alarmOf(line);
    return [{ text, alarm }, ...(error === '' ? [] : [{ text: `  last error: ${error}`, alarm }])];
  });
}

/** The beginning and the end: of a volume that is named by its CID, both tell. */
function shortened(text: string, columns: number): string {
  if (text.length <= columns) return text;
  const half = Math.floor((columns - 1) / 2);
  return `${text.slice(0, columns - 1 - half)}…${text.slice(-half)}`;
}
