/**
 * Background work for all volumes: begins with a mount, ends with the last unmount, and knows what is here of each.
 *
 * Volumes that share content share work by what is beneath: what one brought is here for the other, and what both want
 * at once is one want. Under `auto` all of them together fill the cache to a share of its bound and no more, so that none
 * pushes out another's blocks, nor the cache the blocks of readers. What was asked for whole (`all`, `pin`, `prefetch
 * VOLUME`) may have all of the cache but for what others have pinned, and stops where it does not fit.
 */
import type { CID } from 'multiformats/cid';
import { CodedError, codeOf, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { formatCount } from '../base/units.ts';
import type { BlockKey } from '../blocks/block.ts';
import { BlockTally } from '../blocks/block-tally.ts';
import { type Clock, systemClock } from '../blocks/clock.ts';
import type { MountedVolume } from '../fs/mounted-volume.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import type { BackgroundSuspects } from './background-suspects.ts';
import type { BootProfile } from './boot-profile.ts';
import { BootWatch } from './boot-watch.ts';
import { ownKeys } from './content-keys.ts';
import type { FillCache, FillParts } from './fill.ts';
import { FillRoom } from './fill-room.ts';
import { type FoundProfile, findProfile } from './find-profile.ts';
import { type PinnableCache, type Pinner, Pins } from './pins.ts';
import type { ProfileStore } from './profile-store.ts';
import { QuietCounts } from './quiet-counts.ts';
import type { UnpinList } from './unpin-list.ts';
import { type PinnedRoots, Unpinner } from './unpinner.ts';
import { VolumePrefetch } from './volume-prefetch.ts';

/** What prefetching needs of the disk cache. */
interface PrefetchCache extends FillCache, PinnableCache {
  has(key: BlockKey): boolean;
  evict(keys: readonly BlockKey[]): Promise<number>;
  statistics(): { readonly limitBytes: number; readonly evictions: number };
  /** What blocks may take of the bound, and what of that pinned ones do. */
  readonly roomBytes: number;
  readonly pinnedBytes: number;
}

export interface PrefetcherParts {
  readonly unixfs: UnixfsReader;
  readonly cache: PrefetchCache;
  readonly profiles: ProfileStore;
  readonly unpinList: UnpinList;
  /** The Kubo node, where one is configured. */
  readonly pinner?: Pinner | undefined;
  /** True where nobody asked for that node: it may not be there. */
  readonly pinnerIsOptional?: boolean;
  readonly logger: Logger;
  /** A volume's own name, for the log, of the one that it goes by here. */
  readonly nameOf?: (name: string) => string;
  /** Where ends of the process are remembered; closed here. */
  readonly suspects?: BackgroundSuspects | undefined;
  readonly clock?: Clock;
  /** After a mount that begins a container, before anything but its profile is looked at or fetched. */
  readonly settleMs?: number;
  /** For so long the background of all volumes is to begin nothing. */
  readonly holdMs?: () => number;
  /** How often a disk was asked for a block and could not answer. */
  readonly unanswered?: () => number;
}

export interface PrefetchOptions {
  readonly prefetch: 'auto' | 'all' | 'none';
  readonly pin: boolean;
  readonly profile: string | undefined;
}

/** What an eviction did: bytes that became free, bytes of the content that are here none the less, and who of the others has some. */
export interface PrefetchEvicted {
  readonly freedBytes: number;
  readonly keptBytes: number;
  readonly sharing: readonly CID[];
}

/** From the mount to a container's first instruction it is a third of a second, of which a core is the engine's. */
const SETTLE_MS = 500;

interface Job {
  readonly root: CID;
  readonly options: PrefetchOptions;
  readonly tally: BlockTally;
  readonly work: VolumePrefetch;
  readonly pins: Pins | undefined;
  volume: MountedVolume | undefined;
  abort: AbortController;
  /** Ends what a mount does not end: a call that fetches all, and would pin it. */
  readonly removed: AbortController;
  watch: BootWatch | undefined;
  /** Of this mount; undefined until it was looked for. */
  profile: FoundProfile | undefined;
  /** The profile of this root that is kept here, for people; null where none is known. */
  recorded: string | null;
  /** Ends the count of a volume that nothing else was asked of: until that is done, nothing is known of it. */
  counting: AbortController | undefined;
}

export class Prefetcher {
  readonly #parts: PrefetcherParts;
  readonly #fillParts: FillParts;
  readonly #clock: Clock;
  readonly #unpinner: Unpinner;
  readonly #jobs = new Map<string, Job>();
  readonly #counts: QuietCounts;
  readonly #room: FillRoom;
  readonly #closed = new AbortController();

  constructor(parts: PrefetcherParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#fillParts = { blocks: parts.unixfs.blocks, cache: parts.cache, clock: this.#clock };
    this.#room = new FillRoom(
      () => {
        const { roomBytes, pinnedBytes } = parts.cache;
        return { limitBytes: parts.cache.statistics().limitBytes, roomBytes, pinnedBytes };
      },
      () => this.#jobs.values(),
    );
    this.#counts = new QuietCounts(
      this.#clock,
      () => parts.holdMs?.() ?? 0,
      () => parts.unanswered?.() ?? 0,
    );
    this.#unpinner = new Unpinner(this.#fillParts, parts);
  }

  /**
   * The volume called `name` is to be mounted: what the profile kept here names is fetched beside the root's own block.
   * `mounted` follows, or `unmounted`.
   */
  expected(name: string, root: CID, options: PrefetchOptions): void {
    if (options.prefetch === 'none') return;
    const rootText = root.toV1().toString();
    const profile = this.#parts.profiles.get(options.profile ?? rootText);
    if (profile?.root !== rootText) return;
    const job = this.#job(name, root, options);
    // What fails is told to whoever asks for it once it is mounted.
    if (!job.volume) job.work.fetchProfile(profile, begun(job).signal).catch(() => undefined);
  }

  /**
   * The volume called `name` was mounted; `starting` where a container begins with it, and not a daemon that takes over.
   * Begins in a later turn, waits for nothing.
   */
  mounted(name: string, volume: MountedVolume, options: PrefetchOptions, starting = true): void {
    const job = this.#job(name, volume.spec.root, options);
    begun(job);
    job.volume = volume;
    volume.tally = job.tally;
    if (starting) this.#watch(name, job, volume);
    void this.#run(name, job, volume, starting ? (this.#parts.settleMs ?? SETTLE_MS) : 0);
  }

  /** It is mounted no more: nothing is fetched for it from here on. */
  unmounted(name: string): void {
    const job = this.#jobs.get(name);
    if (!job) return;
    job.watch?.end();
    job.volume = undefined;
    job.abort.abort();
  }

  /**
   * Counts in its turn what is here of a volume that nothing was asked of since the start: once, by the way, and never more
   * than memory has room for. Never fails: what cannot be counted is not known.
   */
  async count(name: string, root: CID, options: PrefetchOptions): Promise<void> {
    if (this.#jobs.has(name)) return;
    const job = this.#newJob(name, root, options);
    job.counting = new AbortController();
    const signal = AbortSignal.any([job.counting.signal, job.removed.signal, this.#closed.signal]);
    try {
      const done = await this.#counts.add(
        signal,
        () => this.#blocksCounted,
        (rest) => job.work.count(signal, rest),
      );
      if (done === 'done') {
        const recorded = this.#parts.profiles.get(root.toV1().toString());
        if (recorded) job.recorded = describe({ profile: recorded, origin: 'recorded', ignored: [] });
        job.counting = undefined;
      }
      // Known no more until it is mounted.
      else if (done === 'never') job.tally.adopt(new BlockTally());
      // To be asked again: others may be removed meanwhile.
      else if (this.#jobs.get(name) === job && job.counting) this.#jobs.delete(name);
    } catch (error) {
      this.#parts.logger.warn(
        { volume: this.#nameOf(name), error: messageChain(error) },
        'what is here of a volume is not counted',
      );
    }
  }

  get #blocksCounted(): number {
    let blocks = 0;
    for (const { volume, tally } of this.#jobs.values()) if (!volume) blocks += tally.blocksHere + tally.blocksAnew;
    return blocks;
  }

  /** A block left the cache; `stored` where the local store has it none the less. */
  gone(key: BlockKey, sizeBytes: number, stored: boolean): void {
    for (const { work } of this.#jobs.values()) work.gone(key, sizeBytes, stored);
  }

  /**
   * Blocks went, or came, that nobody named: what is mounted is counted again soon. Of the rest nothing is known, as after a
   * start, but for what is fetched at this moment.
   */
  countAgain(): void {
    for (const [name, job] of this.#jobs) {
      job.counting?.abort();
      job.work.countAgain();
      if (!job.volume && !job.counting && !job.work.prefetching) this.#jobs.delete(name);
    }
  }

  /** What `status` shows of it; undefined for a volume of which nothing is known (yet). */
  progress(name: string) {
    const job = this.#jobs.get(name);
    if (!job || job.counting) return undefined;
    const { tally, work, profile } = job;
    const { bytesTotal } = work;
    const bytesCached = Math.min(tally.bytesHere, bytesTotal ?? Number.POSITIVE_INFINITY);
    const room = work.prefetching ? Math.max(0, this.#room.bytesFor(job, work.isWhole)) : 0;
    return {
      bytesTotal,
      bytesCached,
      bytesToCome: bytesTotal === null ? null : Math.min(bytesTotal - bytesCached, room),
      stopped: work.isFull && !work.isWhole ? this.#room.stoppedText(bytesCached, bytesTotal) : null,
      blocksFetched: tally.blocksFetched,
      fetched: tally.fetched,
      source: tally.source,
      profile: (profile && describe(profile)) ?? job.recorded,
      prefetching: work.prefetching,
      complete: work.complete,
      prefetchError: work.lastError,
      prefetchErrorMs: work.lastErrorMs,
    };
  }

  /** Fetches all of a volume. @throws BLOCK_UNAVAILABLE with the reason, STORE_FULL where it does not fit, ABORTED */
  async fetchAll(name: string, root: CID, options: PrefetchOptions, signal: AbortSignal): Promise<void> {
    const { work, removed } = this.#job(name, root, options);
    const { missing, stopped, lastError } = await work.fetchAll(AbortSignal.any([signal, removed.signal]));
    if (stopped === 'full') throw new CodedError('STORE_FULL', this.#room.noRoomText(work.bytesTotal));
    if (missing === 0) return;
    throw new CodedError('BLOCK_UNAVAILABLE', `${formatCount(missing, 'block')} could not be fetched`, {
      cause: lastError,
    });
  }

  /**
   * Deletes from the cache what `root` has and none of `others` (roots of other volumes). A volume that is mounted
   * fetches again what is read, and the rest at its next mount. @throws ABORTED
   */
  async evict(
    name: string,
    root: CID,
    options: PrefetchOptions,
    others: readonly CID[],
    signal: AbortSignal,
  ): Promise<PrefetchEvicted> {
    const { abort, work, tally } = this.#job(name, root, options);
    abort.abort();
    const sharing: CID[] = [];
    const keys = await ownKeys(this.#fillParts, root, others, signal, (other) => sharing.push(other));
    const freedBytes = await this.#parts.cache.evict(keys);
    await work.recount(signal);
    return { freedBytes, keptBytes: tally.bytesHere, sharing };
  }

  /**
   * A volume was removed, or leads elsewhere now; `pinnedRoots` gives the roots of those that are pinned, at each call.
   * Looking takes a while, in which a volume of the same content may be made and pinned: what it holds is not let go of.
   */
  async removed(name: string, root: CID | undefined, pinned: boolean, pinnedRoots: PinnedRoots): Promise<void> {
    this.unmounted(name);
    const job = this.#jobs.get(name);
    job?.removed.abort();
    this.#jobs.delete(name);
    if (!pinned || !root) return;
    await this.#unpinner.unpin(
      { root, volume: this.#nameOf(name), atKubo: job?.pins?.atKubo },
      pinnedRoots,
      this.#closed.signal,
    );
  }

  /** Unpins what an earlier daemon was to, and ended before. */
  resumeUnpinning(pinnedRoots: PinnedRoots): Promise<void> {
    return this.#unpinner.resume(pinnedRoots, this.#closed.signal);
  }

  /** Ends all work and keeps what was recorded. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#parts.suspects?.close();
    for (const name of this.#jobs.keys()) this.unmounted(name);
    await this.#parts.profiles.settled();
  }

  async #run(name: string, job: Job, volume: MountedVolume, settleMs: number): Promise<void> {
    const { signal } = job.abort;
    const profile = await this.#profile(name, job, volume, signal);
    if (signal.aborted) return;
    await job.work.run(job.options.prefetch === 'none' ? undefined : profile, signal, settleMs);
  }

  async #profile(name: string, job: Job, volume: MountedVolume, signal: AbortSignal): Promise<BootProfile | undefined> {
    const { root, options } = job;
    const want = { priority: 'profile', signal, timeoutMs: volume.spec.timeoutMs } as const;
    try {
      job.profile = await findProfile(this.#parts, root, options.profile, want);
    } catch (error) {
      if (codeOf(error) === 'ABORTED') return undefined;
      throw error;
    }
    for (const why of job.profile.ignored) {
      this.#parts.logger.warn({ volume: this.#nameOf(name), error: why }, 'a boot profile is ignored');
    }
    const { profile } = job.profile;
    if (profile) job.watch?.foretold(profile);
    if (profile && options.prefetch !== 'none') volume.foretold = profile.blocks;
    return profile;
  }

  /** One line for each start, and what it read for the next one. */
  #watch(name: string, job: Job, volume: MountedVolume): void {
    const { profiles, logger } = this.#parts;
    const { fetched } = job.tally;
    const watch = new BootWatch({
      root: job.root.toV1().toString(),
      clock: this.#clock,
      firstReadMs: () => volume.firstReadMs,
      bytesPrefetched: () => fetched.background.bytes + fetched.profile.bytes,
      onEnd: (summary, run) => {
        job.tally.listener = undefined;
        job.watch = undefined;
        // A profile that came from elsewhere is kept along with what this run adds to it. Alone, a run that was over before
        // anybody knew of one would stand before it from then on: "ls" in a container, and the content's own would be lost.
        if (run && (job.profile || profiles.has(run.root))) {
          void profiles.mergeLater(run, job.profile?.profile).then((merged) => {
            job.recorded = describe({ profile: merged, origin: 'recorded', ignored: [] });
          });
        }
        logger.info({ volume: this.#nameOf(name), ...summary }, 'start-up complete');
      },
    });
    job.watch = watch;
    job.tally.listener = watch.onBlock;
  }

  #nameOf(name: string): string {
    return this.#parts.nameOf?.(name) ?? name;
  }

  /** For whoever does more with it than count. */
  #job(name: string, root: CID, options: PrefetchOptions): Job {
    const known = this.#jobs.get(name);
    known?.counting?.abort();
    // A name of IPNS may lead elsewhere now.
    if (!known?.root.equals(root)) return this.#newJob(name, root, options);
    known.counting = undefined;
    return known;
  }

  #newJob(name: string, root: CID, options: PrefetchOptions): Job {
    const tally = new BlockTally();
    const { logger, cache, pinner } = this.#parts;
    const pins = options.pin ? new Pins(root, cache, pinner) : undefined;
    const job: Job = {
      root,
      options,
      tally,
      pins,
      work: new VolumePrefetch(this.#fillParts, {
        suspects: this.#parts.suspects,
        root,
        tally,
        prefetch: options.pin ? 'all' : options.prefetch,
        pinned: options.pin,
        evictions: () => cache.statistics().evictions,
        hasRoom: (bytes, whole) => this.#room.hasRoom(job, bytes, whole),
        noRoomText: (bytesTotal) => this.#room.noRoomText(bytesTotal),
        holdMs: () => Math.max(job.watch?.holdMs ?? 0, this.#parts.holdMs?.() ?? 0),
        logger: logger.child({ volume: this.#nameOf(name) }),
        onHere: pins?.onHere,
        onComplete: pins?.onComplete,
      }),
      volume: undefined,
      abort: new AbortController(),
      removed: new AbortController(),
      watch: undefined,
      profile: undefined,
      recorded: null,
      counting: undefined,
    };
    this.#jobs.set(name, job);
    return job;
  }
}

/** What ends a job's work; another one where it was ended before. */
function begun(job: Job): AbortController {
  if (job.abort.signal.aborted) job.abort = new AbortController();
  return job.abort;
}

function describe({ profile, origin, ignored }: FoundProfile): string | null {
  const used = profile
    ? `${formatCount(profile.blocks.size, 'block')} of ${formatCount(profile.runs, 'run')}, ${origin}`
    : undefined;
  return [used, ...ignored.map((why) => `ignored ${why}`)].filter((part) => part !== undefined).join('; ') || null;
}
