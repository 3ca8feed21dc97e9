/**
 * One volume of the prefetcher: from the first time that anything is asked of it to its removal. It outlives mounts: what was
 * fetched, counted and found in one holds for the next.
 *
 * Three things end its work. `end`, with a mount, all that belongs to a mount: the next one begins anew.
 * `remove`, with the volume, also what a command began (`fetchAll`). `stopCounting` the count of a volume that nothing else was
 * asked of: until that is done, nothing is known of it.
 */
import type { CID } from 'multiformats/cid';
import type { Logger } from '../base/log.ts';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockReader } from '../blocks/block-reader.ts';
import { BlockTally } from '../blocks/block-tally.ts';
import type { MountedVolume } from '../fs/mounted-volume.ts';
import type { BackgroundSuspects } from './background-suspects.ts';
import type { BootProfile } from './boot-profile.ts';
import type { FillParts } from './fill.ts';
import type { FillRoom } from './fill-room.ts';
import type { ProfileSources } from './find-profile.ts';
import { type PinnableCache, type Pinner, Pins } from './pins.ts';
import { requestShipped, type ShippedRequest } from './shipped-request.ts';
import { VolumePasses } from './volume-passes.ts';
import { VolumePrefetch } from './volume-prefetch.ts';
import { VolumeProfile } from './volume-profile.ts';

export interface PrefetchOptions {
  readonly prefetch: 'auto' | 'all' | 'none';
  readonly pin: boolean;
  readonly profile: string | undefined;
}

/** What all jobs share. */
export interface JobParts extends ProfileSources {
  readonly fill: FillParts;
  readonly room: FillRoom;
  readonly cache: PinnableCache & {
    statistics(): { readonly evictions: number };
    /** Until what it gives is called, that block goes last of what may go. */
    hold(key: BlockKey): () => void;
  };
  /** The Kubo node, where one is configured. */
  readonly pinner?: Pinner | undefined;
  readonly logger: Logger;
  /** Where ends of the process are remembered. */
  readonly suspects?: BackgroundSuspects | undefined;
  /** For so long the background of all volumes is to begin nothing. */
  readonly holdMs: () => number;
}

/** While it is mounted: it would take the space again that somebody needed. */
const EVICTED = 'it was evicted: what is read comes again, the rest at its next mount or by "ipfs-volume prefetch"';

export class PrefetchJob {
  readonly root: CID;
  readonly options: PrefetchOptions;
  readonly tally = new BlockTally();
  readonly passes: VolumePasses;
  readonly work: VolumePrefetch;
  readonly #blocks: BlockReader;
  readonly #room: FillRoom;
  readonly #profile: VolumeProfile;
  readonly #pins: Pins | undefined;
  readonly #removed = new AbortController();
  #volume: MountedVolume | undefined;
  #mount = new AbortController();
  readonly #cache: JobParts['cache'];
  #letRootGo: (() => void) | undefined;
  #counting: AbortController | undefined;
  #shipped: ShippedRequest | undefined;

  /** `volumeName`: as people call it. */
  constructor(volumeName: string, root: CID, options: PrefetchOptions, parts: JobParts) {
    const { fill, room, cache, pinner, suspects, logger, unixfs, profiles } = parts;
    const { tally } = this;
    this.root = root;
    this.options = options;
    this.#room = room;
    this.#blocks = unixfs.blocks;
    this.#cache = cache;
    const ownLogger = logger.child({ volume: volumeName });
    this.#pins = options.pin ? new Pins(root, cache, pinner, ownLogger) : undefined;
    this.#profile = new VolumeProfile(
      { volumeName, root, named: options.profile, fetches: options.prefetch !== 'none', tally },
      { unixfs, profiles, logger, clock: fill.clock },
    );
    const hasRoom = (bytes: number, whole: boolean) => room.hasRoom(this, bytes, whole);
    const holdMs = () => Math.max(this.#profile.holdMs, parts.holdMs());
    this.passes = new VolumePasses(fill, {
      root,
      tally,
      evictions: () => cache.statistics().evictions,
      hasRoom,
      noRoomText: (bytesTotal) => room.noRoomText(bytesTotal),
      holdMs,
      pins: this.#pins,
      suspects,
    });
    this.work = new VolumePrefetch(this.passes, {
      root,
      prefetch: options.pin ? 'all' : options.prefetch,
      pins: this.#pins,
      hasRoom,
      holdMs,
      clock: fill.clock,
      logger: ownLogger,
    });
  }

  /** Undefined while it is not mounted. */
  get volume(): MountedVolume | undefined {
    return this.#volume;
  }

  /** True until a count is done of a volume that nothing else was asked of. */
  get isCounting(): boolean {
    return this.#counting !== undefined;
  }

  /** It was mounted for less than it takes to look what is here of it, and nobody does so now. */
  get isUnknown(): boolean {
    const wasMounted = this.#mount.signal.aborted && !this.#volume;
    return wasMounted && !this.passes.isCounted && !this.work.prefetching;
  }

  /** Whether Kubo pinned the root; undefined where nothing was to be pinned, or was here. */
  get atKubo(): boolean | undefined {
    return this.#pins?.atKubo;
  }

  /** Aborts with the volume, whatever its mounts do. */
  get removed(): AbortSignal {
    return this.#removed.signal;
  }

  /** It is about to be mounted, by whoever starts with it: `profile` is fetched meanwhile. `run` follows, or `end`. */
  expect(profile: BootProfile): void {
    if (this.#volume) return;
    this.#profile.expected();
    // What fails is told to whoever asks for it once it is mounted.
    this.work.fetchProfile(profile, this.#begin()).catch(() => undefined);
  }

  /** The same where no profile is known: one that came with the content is asked for beside its root. */
  expectShipped(): void {
    if (this.#volume) return;
    this.#profile.expected();
    const { account } = this.tally;
    this.#shipped = requestShipped(this.#blocks, this.root, { priority: 'profile', signal: this.#begin(), account });
  }

  /** What belongs to a mount may begin: gives the signal that ends it. */
  #begin(): AbortSignal {
    if (this.#mount.signal.aborted) this.#mount = new AbortController();
    return this.#mount.signal;
  }

  /**
   * Everything that follows from its mount; `starting` where a container begins with it. Nothing but its profile is looked at or
   * fetched before `settleMs`. Never rejects.
   */
  async run(volume: MountedVolume, starting: boolean, settleMs: number): Promise<void> {
    const signal = this.#begin();
    this.#volume = volume;
    volume.tally = this.tally;
    // Read once, at the mount; without it nothing of the volume is found here, and the next mount has to ask a source.
    this.#letRootGo ??= this.#cache.hold(blockKey(this.root));
    if (starting) this.#profile.watch(volume);
    const shipped = this.#shipped;
    this.#shipped = undefined;
    const found = await this.#profile.find(volume, signal, shipped);
    const profile = this.options.prefetch === 'none' ? undefined : found;
    if (profile) volume.foretold = profile.blocks;
    if (!signal.aborted) await this.work.run(profile, signal, settleMs, shipped?.start);
  }

  /** Nothing is fetched for a mount any more. */
  stop(): void {
    this.#mount.abort();
  }

  /** It is mounted no more. */
  end(): void {
    this.#profile.end();
    this.#shipped = undefined;
    this.#volume = undefined;
    this.#letRootGo?.();
    this.#letRootGo = undefined;
    this.stop();
  }

  /** The volume is no more. */
  remove(): void {
    this.end();
    this.#removed.abort();
  }

  /** A count begins, until `counted` or `stopCounting`: gives the signal that ends it. */
  startCounting(): AbortSignal {
    this.#counting = new AbortController();
    return AbortSignal.any([this.#counting.signal, this.#removed.signal]);
  }

  /** It is done. */
  counted(): void {
    this.#profile.recall();
    this.#counting = undefined;
  }

  /** Something else is asked of it, or what was counted is not so any more. */
  stopCounting(): void {
    this.#counting?.abort();
    this.#counting = undefined;
  }

  /** What `status` shows of it; what is here of its root as `known` knows. */
  progress(known: PrefetchJob = this) {
    const { tally, passes, work } = this;
    const bytesTotal = known.passes.bytesTotal ?? passes.bytesTotal;
    const bytesCached = Math.min(known.tally.bytesHere, bytesTotal ?? Number.POSITIVE_INFINITY);
    const complete = known.passes.complete || passes.complete;
    const roomBytes = work.prefetching ? Math.max(0, this.#room.bytesFor(this, work.isWhole)) : 0;
    return {
      bytesTotal,
      bytesCached,
      bytesToCome: bytesTotal === null ? null : Math.min(bytesTotal - bytesCached, roomBytes),
      stopped: complete || work.prefetching ? null : this.#stoppedText(bytesCached, bytesTotal),
      blocksFetched: tally.blocksFetched,
      fetched: tally.fetched,
      source: tally.source,
      profile: this.#profile.text,
      prefetching: work.prefetching,
      complete,
      prefetchError: passes.lastError,
      prefetchErrorMs: passes.lastErrorMs,
    };
  }

  #stoppedText(bytesCached: number, bytesTotal: number | null): string | null {
    const { passes, work } = this;
    if (this.#volume && this.#mount.signal.aborted && this.options.prefetch !== 'none') return EVICTED;
    return passes.isFull && !work.isWhole ? this.#room.stoppedText(this, bytesCached, bytesTotal) : null;
  }
}
