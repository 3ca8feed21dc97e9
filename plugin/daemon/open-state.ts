/**
 * What a daemon opens before it serves: the lock of the state directory, stores, volumes from the state file, and what the kernel
 * still knows of an earlier daemon. No network is asked.
 *
 * All of it may be refused by a disk that fails, is full, read-only or gone, or by what a newer program wrote there. None of that
 * is a defect of the daemon's: whoever waits for it is told, and the next daemon tries again (`isOfTheState`).
 */
import { CodedError, type ErrorCode } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { lockStateDirectory, type StateLock } from '../../src/base/state-lock.ts';
import { systemClock } from '../../src/blocks/clock.ts';
import { isBoundElsewhere } from '../../src/fuse/bound-directories.ts';
import { NodeJournal } from '../../src/fuse/kernel/node-journal.ts';
import { BackgroundSuspects } from '../../src/prefetch/background-suspects.ts';
import { StateFile } from '../../src/volumes/state-file.ts';
import { VolumeRegistry } from '../../src/volumes/volume-registry.ts';
import { VolumeStatuses } from '../../src/volumes/volume-status.ts';
import type { Config } from '../config.ts';
import { connectionFiles } from '../supervisor/connection-state.ts';
import type { DaemonEnvironment } from '../supervisor/daemon-process.ts';
import { rootsOf } from '../volume-commands.ts';
import { type Content, openContent } from './content.ts';
import { prefetchedTree } from './prefetched-tree.ts';
import { type Inherited, serveInherited } from './serve-inherited.ts';

export interface OpenedState {
  readonly content: Content;
  readonly registry: VolumeRegistry;
  readonly statuses: VolumeStatuses;
  readonly serve: Inherited['serve'];
  /** To be released last. */
  readonly lock: StateLock;
}

export interface OpeningEvents {
  /** It goes on, though in one turn, with something that may take long. */
  onRestoring(): void;
  /** The state directory is touched again. */
  opening(): void;
}

/** @throws what `isOfTheState` tells from a defect */
export async function openState(
  config: Config,
  inherited: DaemonEnvironment,
  { onRestoring, opening }: OpeningEvents,
  logger: Logger,
): Promise<OpenedState> {
  const { IPFS_VOLUME_CONNECTION_DIRECTORY: directory, IPFS_VOLUME_CONNECTION: connection } = inherited;
  const files = connectionFiles(directory);
  const lock = lockStateDirectory(config.stateDirectory, 'daemon');
  const journal = config.transport === 'kernel' ? new NodeJournal(files.nodes, logger, { onRestoring }) : undefined;
  const lastDiedSilently = inherited.IPFS_VOLUME_LAST_DEATH === 'silent';
  const suspects = new BackgroundSuspects(files.background, { lastDiedSilently, clock: systemClock, logger });
  const content = await openContent(config, logger, { recorder: journal, suspects });
  const { begin, serve } = serveInherited(config, inherited, journal, logger);
  begin(content.fileSystem);
  opening();
  const { registry, statuses } = openVolumes(config, content, connection, logger);
  return { content, registry, statuses, serve, lock };
}

function openVolumes(config: Config, content: Content, connection: string, logger: Logger) {
  const defaults = { prefetch: config.prefetch, timeoutMs: config.readTimeoutMs };
  const pinnedRoots = () => [...rootsOf(registry, (name) => registry.options(name).pin).values()];
  const registry: VolumeRegistry = new VolumeRegistry({
    state: new StateFile(config.stateDirectory, logger),
    connection,
    mountRoot: config.mountRoot,
    tree: prefetchedTree(content.fileSystem, content.prefetcher, pinnedRoots),
    content: content.resolver,
    isBound: (directoryName) => isBoundElsewhere(config.mountRoot, directoryName),
    defaults,
    logger,
  });
  const statuses = new VolumeStatuses({
    registry,
    defaults,
    mounted: (name) => content.fileSystem.volume(name),
    progress: (name) => content.prefetcher.progress(name),
    count: (name, root, options) => void content.prefetcher.count(name, root, options),
    hasProfile: (name) => content.profiles.has(name),
  });
  void content.prefetcher.resumeUnpinning(pinnedRoots);
  // Whoever asks first should be told what is here.
  statuses.all();
  return { registry, statuses };
}

const OF_THE_STATE: ReadonlySet<ErrorCode> = new Set(['CONFIG_INVALID', 'STATE_LOCKED', 'STORE_FULL']);

/** True where the disk, SQLite or a check of what is there refuses, and the next daemon will fare no better until that is mended. */
export function isOfTheState(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof CodedError && OF_THE_STATE.has(error.code)) return true;
  // As system calls fail, and SQLite (an error of ours has neither).
  return 'syscall' in error || 'errcode' in error || isOfTheState(error.cause);
}
