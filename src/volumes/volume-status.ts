/**
 * What a volume is doing, put together from those who know: the registry (options, mounts), the file system (errors), and
 * whoever counts its blocks. Asks no network, so that `docker volume inspect` answers whatever the sources do.
 */
import type { CID } from 'multiformats/cid';
import { parseCidText } from '../blocks/parse-cid.ts';
import type { VolumeStatus } from './control-api.ts';
import { formatReference } from './reference.ts';
import { directoryNameOf } from './volume-name.ts';
import { type OptionDefaults, parseVolumeOptions, type VolumeOptions } from './volume-options.ts';
import { mountsOf, rootOf } from './volume-record.ts';
import type { VolumeRegistry } from './volume-registry.ts';

/** What the file system knows of a mounted volume. */
interface MountedView {
  readonly lastError: string | null;
  /** When that was; times by `performance.now()` here and below. */
  readonly lastErrorMs: number;
  /** True while its content cannot be had. */
  readonly failing: boolean;
  /** What its readers wait for. */
  readonly waits: {
    readonly size: number;
    readonly oldest: { readonly what: string; readonly sinceMs: number } | undefined;
  };
}

/** What is known of a volume's content on this machine. Sizes in bytes. */
interface ContentProgress {
  readonly bytesTotal: number | null;
  readonly bytesCached: number;
  readonly blocksFetched: number;
  readonly fetched: VolumeStatus['fetched'];
  readonly source: string | null;
  readonly profile: string | null;
  /** True while a background fetch runs. */
  readonly prefetching: boolean;
  /** True once every block is on this machine. */
  readonly complete: boolean;
  /** Why the latest background pass did not bring all; null where it did. */
  readonly prefetchError: string | null;
  readonly prefetchErrorMs: number;
  /** What the background will still bring; null where that is not known. */
  readonly bytesToCome: number | null;
  /** Why it stopped before all was here, where that is as it should be; null otherwise. */
  readonly stopped: string | null;
}

export interface StatusSources {
  readonly registry: VolumeRegistry;
  readonly defaults: OptionDefaults;
  /** By the volume's name in the mount root. */
  readonly mounted: (directoryName: string) => MountedView | undefined;
  /** By the same; undefined where nothing is known of it (yet). */
  readonly progress: (directoryName: string) => ContentProgress | undefined;
  /** Nothing is known of it: to be counted by the way, for the next time that somebody asks. */
  readonly count: (directoryName: string, root: CID, options: VolumeOptions) => void;
  /** Whether a boot profile is kept under that name. */
  readonly hasProfile: (name: string) => boolean;
}

export class VolumeStatuses {
  readonly #sources: StatusSources;

  constructor(sources: StatusSources) {
    this.#sources = sources;
  }

  /** @throws VOLUME_NOT_FOUND */
  of(name: string): VolumeStatus {
    const { registry, defaults, mounted, progress, count, hasProfile } = this.#sources;
    const record = registry.get(name);
    const options = parseVolumeOptions(name, record.options, defaults);
    const { reference, profile } = options;
    const mounts = mountsOf(record);
    const directoryName = directoryNameOf(name);
    const known = progress(directoryName);
    const root = rootOf(record, reference);
    if (!root) void registry.look(name);
    else if (!known) count(directoryName, root, options);
    const { prefetching, complete, prefetchError, prefetchErrorMs, ...content } = known ?? UNTOUCHED;
    const view = mounted(directoryName);
    const mountError = registry.mountError(name);
    const failing = mountError !== null || (view?.failing ?? false);
    return {
      name,
      reference: formatReference(reference),
      cid: record.resolved?.cid ?? root?.toString() ?? null,
      path: reference.path.join('/'),
      state: stateOf(failing, mounts > 0, prefetching, complete),
      mountpoint: mounts > 0 ? registry.mountpoint(name) : null,
      mounts,
      createdAt: record.createdAt,
      ...content,
      counted: known !== undefined,
      profile: content.profile ?? (profile === undefined || hasProfile(profile) ? null : unknownProfile(profile)),
      waiting: waitingOf(view),
      ...errorOf(
        [mountError, registry.mountErrorMs(name)],
        [view?.lastError ?? null, view?.lastErrorMs ?? 0],
        [prefetchError, prefetchErrorMs],
      ),
      options: record.options,
    };
  }

  all(): VolumeStatus[] {
    return this.#sources.registry.list().map(({ name }) => this.of(name));
  }
}

const NONE = { blocks: 0, bytes: 0 };
/** Of a volume that was not mounted since the start. */
export const UNTOUCHED: ContentProgress = {
  bytesTotal: null,
  bytesCached: 0,
  blocksFetched: 0,
  fetched: { demand: NONE, readahead: NONE, metadata: NONE, profile: NONE, background: NONE },
  source: null,
  profile: null,
  prefetching: false,
  complete: false,
  prefetchError: null,
  prefetchErrorMs: 0,
  bytesToCome: null,
  stopped: null,
};

/** The latest of those that there are, with its age. */
function errorOf(...errors: (readonly [string | null, number])[]) {
  const known = errors.filter(([text]) => text !== null).sort(([, aMs], [, bMs]) => bMs - aMs);
  const [lastError = null, atMs = 0] = known[0] ?? [];
  const seconds = Math.max(0, Math.round((performance.now() - atMs) / 1000));
  return { lastError, lastErrorSecondsAgo: lastError === null ? null : seconds };
}

function stateOf(failing: boolean, mounted: boolean, prefetching: boolean, complete: boolean): VolumeStatus['state'] {
  if (failing) return 'failing';
  if (complete) return 'complete';
  if (prefetching) return 'prefetching';
  return mounted ? 'mounted' : 'created';
}

/** Null for a CID, which is looked for when the volume is mounted. */
function unknownProfile(name: string): string | null {
  try {
    parseCidText(name);
    return null;
  } catch {
    // A name.
  }
  return `"${name}" is not known here: "ipfs-volume profile import --name ${name} FILE" brings it`;
}

function waitingOf(view: MountedView | undefined): VolumeStatus['waiting'] {
  const oldest = view?.waits.oldest;
  if (!view || !oldest) return null;
  const seconds = Math.round((performance.now() - oldest.sinceMs) / 100) / 10;
  return { readers: view.waits.size, seconds: Math.max(0, seconds), for: oldest.what };
}
