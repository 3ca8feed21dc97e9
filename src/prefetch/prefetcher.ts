/**
 * Background work for all volumes: begins with a mount, ends with the last unmount, and knows what is here of each.
 *
 * Volumes that share content share work by what is beneath: what one brought is here for the other, and what both want
 * at once is one want. Under `auto` all of them together fill the cache to a share of its bound and no more, so that none
 * pushes out another's blocks, nor the cache the blocks of readers. What was asked for whole (`all`, `pin`, `prefetch
 * VOLUME`) may have all of the cache but for what others have pinned, and stops where it does not fit.
 */
import { code as DAG_PB } from '@ipld/dag-pb';
import type { CID } from 'multiformats/cid';
import { CodedError, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { formatCount } from '../base/units.ts';
import type { BlockKey } from '../blocks/block.ts';
import { BlockTally, type Keeper } from '../blocks/block-tally.ts';
import { type Clock, systemClock } from '../blocks/clock.ts';
import type { MountedVolume } from '../fs/mounted-volume.ts';
import { SharedBound } from '../fs/shared-bound.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import type { BackgroundSuspects } from './background-suspects.ts';
import { ownKeys } from './content-keys.ts';
import type { FillCache, FillParts } from './fill.ts';
import { FillRoom } from './fill-room.ts';
import { MAX_UNDER_WAY_BYTES } from './fill-under-way.ts';
import type { PinnableCache, Pinner } from './pins.ts';
import { type JobParts, PrefetchJob, type PrefetchOptions } from './prefetch-job.ts';
import type { ProfileStore } from './profile-store.ts';
import { QuietCounts } from './quiet-counts.ts';
import type { UnpinList } from './unpin-list.ts';
import { type PinnedRoots, Unpinner } from './unpinner.ts';

/** What prefetching needs of the disk cache. */
interface PrefetchCache extends FillCache, PinnableCache {
  has(key: BlockKey): boolean;
  evict(keys: readonly BlockKey[]): Promise<number>;
  hold(key: BlockKey): () => void;
  statistics(): { readonly limitBytes: number; readonly evictions: number };
  /** What blocks may take of the bound, and what of that pinned ones do. */
  readonly roomBytes: number;
  readonly pinnedBytes: number;
  /** What it takes before it evicts, and what new blocks push out before each other. */
  readonly freeBytes: number;
  readonly newcomersBytes: number;
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

/** What an eviction did: bytes that became free, bytes of the content that are here none the less, and who of the others has some. */
export interface PrefetchEvicted {
  readonly freedBytes: number;
  readonly keptBytes: number;
  readonly sharing: readonly CID[];
}

const WENT_AGAIN =
  'some of it left the cache again while the rest came, since others need the room: raise IPFS_VOLUME_CACHE_SIZE, or use pin=true';

/** From the mount to a container's first instruction it is a third of a second, of which a core is the engine's. */
const SETTLE_MS = 500;

export class Prefetcher {
  readonly #parts: PrefetcherParts;
  readonly #fillParts: FillParts;
  readonly #jobParts: JobParts;
  readonly #unpinner: Unpinner;
  readonly #jobs = new Map<string, PrefetchJob>();
  readonly #counts: QuietCounts;
  readonly #room: FillRoom;
  readonly #closed = new AbortController();

  constructor(parts: PrefetcherParts) {
    const { unixfs, cache, clock = systemClock, holdMs = () => 0, unanswered = () => 0 } = parts;
    this.#parts = parts;
    this.#fillParts = { blocks: unixfs.blocks, cache, clock, underWay: new SharedBound(MAX_UNDER_WAY_BYTES) };
    this.#room = new FillRoom(
      () => {
        const { roomBytes, pinnedBytes, freeBytes, newcomersBytes } = cache;
        return { limitBytes: cache.statistics().limitBytes, roomBytes, pinnedBytes, freeBytes, newcomersBytes };
      },
      () => this.#jobs.values(),
    );
    this.#jobParts = { ...parts, fill: this.#fillParts, room: this.#room, holdMs };
    this.#counts = new QuietCounts(clock, holdMs, unanswered);
    this.#unpinner = new Unpinner(this.#fillParts, parts);
  }

  /**
   * The volume called `name` is to be mounted: what the profile kept here names is fetched beside the root's own block, or else
   * the profile that may have come with that. `mounted` follows, or `unmounted`.
   */
  expected(name: string, root: CID, options: PrefetchOptions): void {
    if (options.prefetch === 'none') return;
    const rootText = root.toV1().toString();
    const profile = this.#parts.profiles.get(options.profile ?? rootText);
    if (profile?.root === rootText) this.#job(name, root, options).expect(profile);
    else if (root.code === DAG_PB && !profile && !options.profile && !this.#parts.unixfs.blocks.has(root))
      this.#job(name, root, options).expectShipped();
  }

  /**
   * The volume called `name` was mounted; `starting` where a container begins with it, and not a daemon that takes over.
   * Begins in a later turn, waits for nothing.
   */
  mounted(name: string, volume: MountedVolume, options: PrefetchOptions, starting = true): void {
    const settleMs = starting ? (this.#parts.settleMs ?? SETTLE_MS) : 0;
    void this.#job(name, volume.spec.root, options).run(volume, starting, settleMs);
  }

  /** It is mounted no more: nothing is fetched for it from here on. */
  unmounted(name: string): void {
    this.#jobs.get(name)?.end();
  }

  /**
   * Counts in its turn what is here of a volume that nobody has counted since the start: once, by the way, and never more
   * than memory has room for. Never fails: what cannot be counted is not known.
   */
  async count(name: string, root: CID, options: PrefetchOptions): Promise<void> {
    const known = this.#jobs.get(name);
    if (known?.isCounting || known?.isUnknown === false) return;
    const job = known?.root.equals(root) ? known : this.#newJob(name, root, options);
    const signal = AbortSignal.any([job.startCounting(), this.#closed.signal]);
    try {
      const done = await this.#counts.add(
        signal,
        () => this.#blocksCounted,
        (rest) => job.passes.count(signal, rest),
      );
      if (done === 'done') job.counted();
      // Known no more until it is mounted.
      else if (done === 'never') job.tally.adopt(new BlockTally());
      // To be asked again: others may be removed meanwhile.
      else if (job === known) job.stopCounting();
      else if (this.#jobs.get(name) === job && job.isCounting) this.#jobs.delete(name);
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

  /** A block left the cache, or the local store; `kept` where the other has it none the less. */
  gone(key: BlockKey, sizeBytes: number, kept: boolean, from?: Keeper): void {
    for (const { passes } of this.#jobs.values()) passes.gone(key, sizeBytes, kept, from);
  }

  /**
   * Blocks went, or came, that nobody named: what is mounted is counted again soon. Of the rest nothing is known, as after a
   * start, but for what is fetched at this moment.
   */
  countAgain(): void {
    for (const [name, job] of this.#jobs) {
      job.stopCounting();
      job.work.countAgain();
      if (!job.volume && !job.work.prefetching) this.#jobs.delete(name);
    }
  }

  /** What `status` shows of it; undefined for a volume of which nothing is known (yet). */
  progress(name: string) {
    const job = this.#jobs.get(name);
    if (!job || job.isCounting) return undefined;
    const best = this.#bestKnown(job);
    return job.isUnknown && best.isUnknown ? undefined : job.progress(best);
  }

  /** Who knows of most that is here, of all that have its root: what one brought, the others are not told of. */
  #bestKnown(job: PrefetchJob): PrefetchJob {
    let best = job;
    for (const other of this.#jobs.values()) {
      if (other.tally.bytesHere > best.tally.bytesHere && other.root.equals(job.root)) best = other;
    }
    return best;
  }

  /**
   * Fetches all of a volume. @throws BLOCK_UNAVAILABLE with the reason, STORE_FULL where it does not fit, VOLUME_NOT_FOUND where
   * it was removed meanwhile, ABORTED
   */
  async fetchAll(name: string, root: CID, options: PrefetchOptions, signal: AbortSignal): Promise<void> {
    const { passes, work, removed } = this.#job(name, root, options);
    const fetching = work.fetchAll(AbortSignal.any([signal, removed])).catch((error: unknown) => {
      if (signal.aborted || !removed.aborted) throw error;
      throw new CodedError(
        'VOLUME_NOT_FOUND',
        `the volume "${this.#nameOf(name)}" was removed, or leads elsewhere now`,
      );
    });
    const { missing, stopped, lastError, isHere } = await fetching;
    if (stopped === 'full') throw new CodedError('STORE_FULL', this.#room.noRoomText(passes.bytesTotal));
    if (isHere) return;
    if (missing === 0) throw new CodedError('STORE_FULL', WENT_AGAIN);
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
    const job = this.#job(name, root, options);
    job.stop();
    const sharing: CID[] = [];
    const keys = await ownKeys(this.#fillParts, root, others, signal, (other) => sharing.push(other));
    const freedBytes = await this.#parts.cache.evict(keys);
    await job.passes.recount(signal);
    return { freedBytes, keptBytes: job.tally.bytesHere, sharing };
  }

  /**
   * A volume was removed, or leads elsewhere now; `pinnedRoots` gives the roots of those that are pinned, at each call.
   * Looking takes a while, in which a volume of the same content may be made and pinned: what it holds is not let go of.
   */
  async removed(name: string, root: CID | undefined, pinned: boolean, pinnedRoots: PinnedRoots): Promise<void> {
    const job = this.#jobs.get(name);
    job?.remove();
    this.#jobs.delete(name);
    if (!pinned || !root) return;
    const unpinning = { root, volume: this.#nameOf(name), atKubo: job?.atKubo };
    await this.#unpinner.unpin(unpinning, pinnedRoots, this.#closed.signal);
  }

  /** Unpins what an earlier daemon was to, and ended before. */
  resumeUnpinning(pinnedRoots: PinnedRoots): Promise<void> {
    return this.#unpinner.resume(pinnedRoots, this.#closed.signal);
  }

  /** Ends all work and keeps what was recorded. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#parts.suspects?.close();
    for (const job of this.#jobs.values()) job.end();
    await this.#parts.profiles.settled();
  }

  #nameOf(name: string): string {
    return this.#parts.nameOf?.(name) ?? name;
  }

  /** For whoever does more with it than count. */
  #job(name: string, root: CID, options: PrefetchOptions): PrefetchJob {
    const known = this.#jobs.get(name);
    known?.stopCounting();
    // A name of IPNS may lead elsewhere now.
    return known?.root.equals(root) ? known : this.#newJob(name, root, options);
  }

  #newJob(name: string, root: CID, options: PrefetchOptions): PrefetchJob {
    const job = new PrefetchJob(this.#nameOf(name), root, options, this.#jobParts);
    this.#jobs.set(name, job);
    return job;
  }
}
