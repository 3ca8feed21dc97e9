/**
 * The daemon's metrics: every number that is kept anyway, each with its name, unit and meaning.
 *
 * Seconds and bytes throughout. Counters begin at zero with each daemon (as Prometheus expects of a restart), the number
 * of restarts alone comes from the supervisor. Labels hold what users and operators named: volumes, and sources by the
 * names that hold no credentials.
 */
import { readdirSync } from 'node:fs';
import { PRIORITIES } from '../../src/blocks/priority.ts';
import { WAIT_BOUNDS_MS } from '../../src/blocks/queue/want-stats.ts';
import type { DaemonStatus, VolumeState } from '../../src/volumes/control-api.ts';
import type { Content } from './content.ts';
import { MetricsText, type Sample } from './metrics-text.ts';

export interface MetricsSources {
  readonly content: Pick<Content, 'blocks' | 'cache' | 'memory' | 'fileSystem'>;
  readonly status: () => DaemonStatus;
  /** Of the mount, by operation. */
  readonly requestCounts: ReadonlyMap<string, number>;
  /** Daemons before this one on the same connection. */
  readonly restarts: number;
}

const STATES: readonly VolumeState[] = ['created', 'mounted', 'prefetching', 'complete', 'failing'];

/** All metrics at this moment, as text. */
export function metricsText(sources: MetricsSources): string {
  const text = new MetricsText();
  const status = sources.status();
  writeWants(text, sources.content);
  writeSources(text, status);
  writeStores(text, sources.content, status);
  writeVolumes(text, status);
  writeMount(text, sources, status);
  writeProcess(text);
  return text.toString();
}

function writeWants(text: MetricsText, { blocks }: MetricsSources['content']): void {
  const { stats, waiting } = blocks;
  const each = (value: (priority: (typeof PRIORITIES)[number]) => number): Sample[] =>
    PRIORITIES.map((priority) => ({ labels: { priority }, value: value(priority) }));
  text
    .counter(
      'ipfs_volume_wants_total',
      'Requests for a block that was not on this machine, by who asked.',
      each((priority) => stats[priority].wants),
    )
    .counter(
      'ipfs_volume_want_failures_total',
      'Of these, those that ended in an error or a time-out.',
      each((priority) => stats[priority].failures),
    )
    .gauge(
      'ipfs_volume_wants_waiting',
      'Blocks that somebody waits for now, by the most urgent one.',
      each((priority) => waiting[priority]),
    )
    .histogram(
      'ipfs_volume_want_wait_seconds',
      'How long those waited who got their block.',
      WAIT_BOUNDS_MS.map((boundMs) => boundMs / 1000),
      PRIORITIES.map((priority) => ({
        labels: { priority },
        buckets: stats[priority].waitBuckets,
        sum: stats[priority].waitSumMs / 1000,
      })),
    )
    .counter(
      'ipfs_volume_fetched_blocks_total',
      'Verified blocks that came from sources, by why they were fetched.',
      each((priority) => stats[priority].blocks),
    )
    .counter(
      'ipfs_volume_fetched_bytes_total',
      'Bytes of these blocks.',
      each((priority) => stats[priority].bytes),
    );
}

function writeSources(text: MetricsText, { sources }: DaemonStatus): void {
  const each = (value: (source: DaemonStatus['sources'][number]) => number): Sample[] =>
    sources.map((source) => ({ labels: { source: source.name }, value: value(source) }));
  text
    .counter(
      'ipfs_volume_source_blocks_total',
      'Verified blocks that a source sent.',
      each(({ blocks }) => blocks),
    )
    .counter(
      'ipfs_volume_source_bytes_total',
      'Bytes of these blocks.',
      each(({ bytes }) => bytes),
    )
    .counter(
      'ipfs_volume_source_errors_total',
      'Requests that a source failed or answered with wrong bytes, and times of 20 s in which it said nothing.',
      each(({ errors }) => errors),
    )
    .gauge(
      'ipfs_volume_source_requests_in_flight',
      'Requests on their way to a source.',
      each(({ inFlight }) => inFlight),
    )
    .gauge(
      'ipfs_volume_source_request_limit',
      'Requests at once that fill the path to a source, as learned.',
      each(({ limit }) => limit),
    )
    .gauge(
      'ipfs_volume_source_failing',
      '1 while a source fails: it refuses, is cut off, lied, or has said nothing to anybody for 20 s.',
      each(({ state }) => (state === 'failing' ? 1 : 0)),
    );
}

function writeStores(text: MetricsText, { cache, memory }: MetricsSources['content'], { store }: DaemonStatus): void {
  const { hits, misses, evictions, bytes, blocks, limitBytes } = cache.statistics();
  text
    .counter('ipfs_volume_cache_hits_total', 'Reads that the disk cache answered.', [{ value: hits }])
    .counter('ipfs_volume_cache_misses_total', 'Reads that it could not answer.', [{ value: misses }])
    .counter('ipfs_volume_cache_evictions_total', 'Blocks that it gave up for others.', [{ value: evictions }])
    .gauge('ipfs_volume_cache_blocks', 'Blocks in the disk cache.', [{ value: blocks }])
    .gauge('ipfs_volume_cache_bytes', 'Bytes in the disk cache.', [{ value: bytes }])
    .gauge('ipfs_volume_cache_limit_bytes', 'Bound of the disk cache.', [{ value: limitBytes }])
    .gauge('ipfs_volume_memory_cache_bytes', 'Bytes of blocks kept in memory.', [{ value: memory.sizeBytes }])
    .gauge('ipfs_volume_store_roots', 'Roots in the local store.', [{ value: store.roots }])
    .gauge('ipfs_volume_store_blocks', 'Blocks in the local store.', [{ value: store.blocks }])
    .gauge('ipfs_volume_store_bytes', 'Bytes in the local store.', [{ value: store.bytes }]);
}

function writeVolumes(text: MetricsText, { volumes }: DaemonStatus): void {
  const each = (value: (volume: DaemonStatus['volumes'][number]) => number | null): Sample[] =>
    volumes.flatMap((volume) => {
      const found = value(volume);
      return found === null ? [] : [{ labels: { volume: volume.name }, value: found }];
    });
  const byPriority = (what: 'blocks' | 'bytes'): Sample[] =>
    volumes.flatMap(({ name, fetched }) =>
      PRIORITIES.map((priority) => ({ labels: { volume: name, priority }, value: fetched[priority][what] })),
    );
  text
    .gauge(
      'ipfs_volume_volumes',
      'Volumes by what they do.',
      STATES.map((state) => ({
        labels: { state },
        value: volumes.filter((volume) => volume.state === state).length,
      })),
    )
    .gauge(
      'ipfs_volume_volume_mounts',
      'How many times a volume is mounted.',
      each(({ mounts }) => mounts),
    )
    .gauge(
      'ipfs_volume_volume_content_bytes',
      'Size of all blocks of a volume; absent until it is known.',
      each(({ bytesTotal }) => bytesTotal),
    )
    .gauge(
      'ipfs_volume_volume_cached_bytes',
      'Of them, what is on this machine; absent until it is counted.',
      each(({ counted, bytesCached }) => (counted ? bytesCached : null)),
    )
    .gauge(
      'ipfs_volume_volume_waiting_readers',
      'Reads, look-ups and listings of a volume that wait for blocks now.',
      each(({ waiting }) => waiting?.readers ?? 0),
    )
    .gauge(
      'ipfs_volume_volume_longest_wait_seconds',
      'How long the oldest of them has waited so far.',
      each(({ waiting }) => waiting?.seconds ?? 0),
    )
    .counter(
      'ipfs_volume_volume_fetched_blocks_total',
      'Blocks fetched on account of a volume, by why.',
      byPriority('blocks'),
    )
    .counter('ipfs_volume_volume_fetched_bytes_total', 'Bytes of these blocks.', byPriority('bytes'));
}

function writeMount(
  text: MetricsText,
  { content, requestCounts, restarts }: MetricsSources,
  { version }: DaemonStatus,
): void {
  text
    .counter(
      'ipfs_volume_fuse_requests_total',
      'Requests of the kernel, by operation.',
      [...requestCounts].map(([operation, value]) => ({ labels: { operation: operation.toLowerCase() }, value })),
    )
    .gauge('ipfs_volume_nodes', 'Files and directories that the kernel holds.', [
      { value: content.fileSystem.nodeCount },
    ])
    .counter('ipfs_volume_daemon_restarts_total', 'Daemons that were replaced since the mount was made.', [
      { value: restarts },
    ])
    .gauge('ipfs_volume_build_info', 'Always 1; the version is in the label.', [{ labels: { version }, value: 1 }]);
}

/** The names and meanings of https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics. */
function writeProcess(text: MetricsText): void {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  text
    .counter('process_cpu_seconds_total', 'Processor time of the daemon.', [{ value: (user + system) / 1e6 }])
    .gauge('process_resident_memory_bytes', 'Memory of the daemon.', [{ value: rss }])
    .gauge('process_open_fds', 'Open file descriptors of the daemon.', [{ value: openDescriptors() }])
    .gauge('process_start_time_seconds', 'When the daemon was started, in seconds since 1970.', [
      { value: performance.timeOrigin / 1000 },
    ])
    .gauge('nodejs_heap_used_bytes', "Of the memory, JavaScript's own.", [{ value: heapUsed }])
    .gauge('nodejs_active_timers', 'Timers that the daemon waits for.', [{ value: activeTimers() }])
    .gauge('nodejs_eventloop_utilization_ratio', 'Share of its time since the start that the main thread was busy.', [
      { value: performance.eventLoopUtilization().utilization },
    ]);
}

function activeTimers(): number {
  return process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
}

function openDescriptors(): number {
  // Less the one that lists them. Where there is no /proc (fuse-native on a Mac) nobody can say.
  try {
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return Number.NaN;
  }
}
