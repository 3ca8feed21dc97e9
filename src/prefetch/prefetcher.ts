/**
 * Background work for all volumes: begins with a mount, ends with the last unmount, and knows what is here of each.
 *
 * Volumes that share content share work by what is beneath: what one brought is here for the other, and what both want
 * at once is one want. Under `auto` all of them together fill the cache to a share of its bound and no more, so that none
 * pushes out another's blocks, nor the cache the blocks of readers.
 */
import type { CID } from 'multiformats/cid';
import { CodedError, codeOf, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type BlockKey, blockKey } from '../blocks/block.ts';
import type { BlockStore } from '../blocks/block-store.ts';
import { BlockTally } from '../blocks/block-tally.ts';
import { type Clock, systemClock } from '../blocks/clock.ts';
import { FingerprintSet } from '../blocks/fingerprint-set.ts';
import type { MountedVolume } from '../fs/mounted-volume.ts';
import { contentKey } from '../unixfs/content-key.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import type { BootProfile } from './boot-profile.ts';
import { BootRecorder } from './boot-recorder.ts';
import { type FillParts, fill } from './fill.ts';
import { findProfile } from './find-profile.ts';
import { Plan } from './plan.ts';
import type { ProfileStore } from './profile-store.ts';
import { VolumePrefetch } from './volume-prefetch.ts';

/** What prefetching needs of the disk cache. */
interface PrefetchCache extends Pick<BlockStore, 'has'> {
  pin(keys: Iterable<BlockKey>): void;
  unpin(keys: Iterable<BlockKey>): void;
  evict(keys: Iterable<BlockKey>): number;
  statistics(): { readonly limitBytes: number };
}

interface Pinner {
  pin(root: CID, options: { readonly signal: AbortSignal }): Promise<void>;
  unpin(root: CID, options: { readonly signal: AbortSignal }): Promise<void>;
}

export interface PrefetcherParts {
  readonly unixfs: UnixfsReader;
  readonly cache: PrefetchCache;
  readonly profiles: ProfileStore;
  /** The Kubo node, where one is configured. */
  readonly pinner?: Pinner | undefined;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** How long a volume's start is watched. */
  readonly bootMs?: number;
}

export interface PrefetchOptions {
  readonly prefetch: 'auto' | 'all' | 'none';
  readonly pin: boolean;
  readonly profile: string | undefined;
}

/** "The first minutes" of a container: what loads in two minutes and is not asked for by then is not its start. */
const BOOT_MS = 120_000;
/** Of the cache's bound: the rest is for what readers fetch by themselves. */
const AUTO_SHARE = 0.9;
/** Pins are written to the cache's table so many at a time. */
const PIN_BATCH = 256;

interface Job {
  readonly root: CID;
  readonly options: PrefetchOptions;
  readonly tally: BlockTally;
  readonly work: VolumePrefetch;
  volume: MountedVolume | undefined;
  abort: AbortController;
  profileSaid: string | null;
  endBoot: () => void;
}

export class Prefetcher {
  readonly #parts: PrefetcherParts;
  readonly #fillParts: FillParts;
  readonly #clock: Clock;
  readonly #jobs = new Map<string, Job>();

  constructor(parts: PrefetcherParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#fillParts = { blocks: parts.unixfs.blocks, cache: parts.cache, clock: this.#clock };
  }

  /** The volume called `name` was mounted. Begins in a later turn, waits for nothing. */
  mounted(name: string, volume: MountedVolume, options: PrefetchOptions): void {
    const job = this.#job(name, volume.spec.root, options);
    job.abort = new AbortController();
    job.volume = volume;
    volume.tally = job.tally;
    void this.#run(name, job, volume);
  }

  /** It is mounted no more: nothing is fetched for it from here on. */
  unmounted(name: string): void {
    const job = this.#jobs.get(name);
    if (!job) return;
    job.endBoot();
    job.volume = undefined;
    job.abort.abort();
  }

  /** What `status` shows of it; undefined for a volume that was not mounted since the start. */
  progress(name: string) {
    const job = this.#jobs.get(name);
    if (!job) return undefined;
    const { tally, work, volume, profileSaid } = job;
    return {
      bytesTotal: work.bytesTotal,
      bytesCached: work.bytesTotal === null ? tally.bytesHere : Math.min(tally.bytesHere, work.bytesTotal),
      blocksFetched: tally.blocksFetched,
      fetched: tally.fetched,
      source: tally.source,
      profile: profileSaid,
      prefetching: work.prefetching && volume !== undefined,
      complete: work.complete,
    };
  }

  /** Fetches all of a volume, whatever the cache's bound. @throws BLOCK_UNAVAILABLE with the reason, ABORTED */
  async fetchAll(name: string, root: CID, options: PrefetchOptions, signal: AbortSignal): Promise<void> {
    const { work } = this.#job(name, root, options);
    const { missing, lastError } = await work.pass({ signal, fetch: true, everything: true });
    if (missing === 0) return;
    throw new CodedError('BLOCK_UNAVAILABLE', `${missing} blocks could not be fetched`, { cause: lastError });
  }

  /**
   * Deletes from the cache what `root` has and none of `others` (roots of other volumes); gives the bytes freed. A volume
   * that is mounted fetches again what is read, and the rest at its next mount.
   */
  async evict(name: string, root: CID, others: readonly CID[], signal: AbortSignal): Promise<number> {
    const job = this.#jobs.get(name);
    job?.abort.abort();
    const shared = await this.#here(others, signal);
    const keys: BlockKey[] = [];
    await this.#walk(root, signal, (key) => {
      if (!shared.has(key)) keys.push(key);
    });
    const freedBytes = this.#parts.cache.evict(keys);
    job?.work.forget();
    return freedBytes;
  }

  /** A volume was removed; `otherPinned` are the roots of those that are pinned still. */
  async removed(name: string, root: CID | undefined, pinned: boolean, otherPinned: readonly CID[]): Promise<void> {
    this.unmounted(name);
    this.#jobs.delete(name);
    if (!pinned || !root) return;
    const { signal } = new AbortController();
    try {
      const shared = await this.#here(otherPinned, signal);
      const keys: BlockKey[] = [];
      await this.#walk(root, signal, (key) => {
        if (!shared.has(key)) keys.push(key);
      });
      this.#parts.cache.unpin(keys);
      if (!otherPinned.some((other) => other.equals(root))) await this.#parts.pinner?.unpin(root, { signal });
    } catch (error) {
      this.#parts.logger.warn({ volume: name, error: messageChain(error) }, 'the volume could not be unpinned');
    }
  }

  /** Ends all work and keeps what was recorded. */
  close(): void {
    for (const name of this.#jobs.keys()) this.unmounted(name);
  }

  async #run(name: string, job: Job, volume: MountedVolume): Promise<void> {
    const { signal } = job.abort;
    const profile = await this.#profile(name, job, volume, signal);
    if (signal.aborted) return;
    await job.work.run(job.options.prefetch === 'none' ? undefined : profile, signal);
  }

  async #profile(name: string, job: Job, volume: MountedVolume, signal: AbortSignal): Promise<BootProfile | undefined> {
    const { logger, profiles } = this.#parts;
    const { root, options } = job;
    // What is read before the profile is found belongs to the start as well.
    const recent = profiles.get(root.toV1().toString());
    this.#watch(name, job, volume, recent);
    try {
      const want = { priority: 'profile', signal, timeoutMs: volume.spec.timeoutMs } as const;
      const profile = await findProfile(this.#parts, root, options.profile, want);
      job.profileSaid = profile ? `${profile.blocks.length} blocks of ${profile.runs} runs` : null;
      return profile;
    } catch (error) {
      if (signal.aborted || codeOf(error) === 'ABORTED') return undefined;
      job.profileSaid = `ignored: ${messageChain(error)}`;
      logger.warn({ volume: name, error: messageChain(error) }, 'the boot profile is ignored');
      return undefined;
    }
  }

  /** Records until the start is over: by time, or because the volume is unmounted. */
  #watch(name: string, job: Job, volume: MountedVolume, profile: BootProfile | undefined): void {
    const recorder = new BootRecorder(job.root.toV1().toString(), profile);
    const sinceMs = performance.now();
    job.tally.listener = recorder.onBlock;
    const before = job.tally.fetched.background.bytes + job.tally.fetched.profile.bytes;
    const forget = this.#clock.schedule(this.#parts.bootMs ?? BOOT_MS, () => job.endBoot());
    job.endBoot = () => {
      forget();
      job.endBoot = () => {};
      job.tally.listener = undefined;
      const run = recorder.profile();
      if (run) this.#parts.profiles.merge(run);
      const { background, profile: foretold } = job.tally.fetched;
      this.#parts.logger.info(
        {
          volume: name,
          firstByteMs: volume.firstReadMs === undefined ? null : Math.round(volume.firstReadMs - sinceMs),
          bytesDemanded: recorder.bytesDemanded,
          bytesPrefetched: background.bytes + foretold.bytes - before,
          profileHitShare: recorder.hitShare,
        },
        'start-up complete',
      );
    };
  }

  #job(name: string, root: CID, options: PrefetchOptions): Job {
    const known = this.#jobs.get(name);
    // A name of IPNS may lead elsewhere now.
    if (known?.root.equals(root)) return known;
    const tally = new BlockTally();
    const { logger, cache, pinner } = this.#parts;
    const batch: BlockKey[] = [];
    const flush = () => cache.pin(batch.splice(0));
    const pins = {
      onHere: (cid: CID) => {
        const key = blockKey(cid);
        // The local store never evicts.
        if (cache.has(key)) batch.push(key);
        if (batch.length >= PIN_BATCH) flush();
      },
      onComplete: async (signal: AbortSignal) => {
        flush();
        await pinner?.pin(root, { signal });
      },
    };
    const work = new VolumePrefetch(this.#fillParts, {
      root,
      tally,
      prefetch: options.pin ? 'all' : options.prefetch,
      hasRoom: (bytes) => this.#hasRoom(bytes),
      logger: logger.child({ volume: name }),
      ...(options.pin ? pins : {}),
    });
    const job: Job = {
      root,
      options,
      tally,
      work,
      volume: undefined,
      abort: new AbortController(),
      profileSaid: null,
      endBoot: () => {},
    };
    this.#jobs.set(name, job);
    return job;
  }

  #hasRoom(bytes: number): boolean {
    let taken = bytes;
    for (const { volume, tally } of this.#jobs.values()) if (volume) taken += tally.evictableBytes;
    return taken <= this.#parts.cache.statistics().limitBytes * AUTO_SHARE;
  }

  async #here(roots: readonly CID[], signal: AbortSignal): Promise<FingerprintSet> {
    const keys = new FingerprintSet();
    for (const root of roots) await this.#walk(root, signal, (key) => keys.add(key));
    return keys;
  }

  /** Visits what is here of `root`, fetching nothing. */
  async #walk(root: CID, signal: AbortSignal, visit: (key: BlockKey) => void): Promise<void> {
    await fill(this.#fillParts, new Plan(contentKey(root)), {
      priority: 'background',
      tally: new BlockTally(),
      signal,
      fetch: false,
      onHere: (cid) => visit(blockKey(cid)),
    });
  }
}
