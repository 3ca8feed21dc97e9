/**
 * A volume's boot profile, over its mounts: found at each, measured by what its start reads, and recorded for the next.
 */
import { codeOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { formatCount } from '../base/units.ts';
import type { BlockTally } from '../blocks/block-tally.ts';
import type { Clock } from '../blocks/clock.ts';
import type { MountedVolume } from '../fs/mounted-volume.ts';
import type { BootProfile } from './boot-profile.ts';
import { BootWatch } from './boot-watch.ts';
import { type FoundProfile, findProfile, type ProfileSources, type ProfileWanted } from './find-profile.ts';
import type { ShippedRequest } from './shipped-request.ts';

export interface VolumeProfileParts extends ProfileSources {
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface VolumeProfileOptions extends Omit<ProfileWanted, 'shipped'> {
  /** As people call the volume. */
  readonly volumeName: string;
  /** Its account. */
  readonly tally: BlockTally;
}

export class VolumeProfile {
  readonly #options: VolumeProfileOptions;
  readonly #parts: VolumeProfileParts;
  #watch: BootWatch | undefined;
  /** What was prefetched when a start was first heard of; undefined where none is to come. */
  #prefetchedBefore: number | undefined;
  /** Undefined until it was looked for, and where the content's own is not at hand. */
  #found: FoundProfile | undefined;
  /** The one of this root that is kept here, for people; null where none is known. */
  #recorded: string | null = null;

  constructor(options: VolumeProfileOptions, parts: VolumeProfileParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** For people: which there is, of how many runs and from where, and which were passed over; null where none is known. */
  get text(): string | null {
    return (this.#found && describe(this.#found)) ?? this.#recorded;
  }

  /** For so long the background is to leave a start alone. */
  get holdMs(): number {
    return this.#watch?.holdMs ?? 0;
  }

  /** Looks which is kept here, without a mount. */
  recall(): void {
    const profile = this.#parts.profiles.get(this.#rootText);
    if (profile) this.#recorded = describe({ profile, origin: 'recorded' });
  }

  /** For a mount, whose start is measured by it: undefined where there is none, or `signal` aborted. `shipped` is on its way. */
  async find(volume: MountedVolume, signal: AbortSignal, shipped?: ShippedRequest): Promise<BootProfile | undefined> {
    const { volumeName } = this.#options;
    const want = { priority: 'profile', signal, timeoutMs: volume.spec.timeoutMs } as const;
    try {
      this.#found = await findProfile(this.#parts, { ...this.#options, shipped }, want);
    } catch (error) {
      if (codeOf(error) === 'ABORTED') return undefined;
      throw error;
    }
    for (const why of this.#found?.ignored ?? []) {
      this.#parts.logger.warn({ volume: volumeName, error: why }, 'a boot profile is ignored');
    }
    const profile = this.#found?.profile;
    if (profile) this.#watch?.foretold(profile);
    return profile;
  }

  /** A start is to be watched soon: what is fetched from here on is for it. */
  expected(): void {
    this.#prefetchedBefore = this.#bytesPrefetched;
  }

  /** Watches a start: one line of it in the log, and what it read for the next one. */
  watch(volume: MountedVolume): void {
    const { tally, volumeName } = this.#options;
    const watch = new BootWatch({
      root: this.#rootText,
      clock: this.#parts.clock,
      firstReadMs: () => volume.firstReadMs,
      bytesPrefetched: () => this.#bytesPrefetched,
      prefetchedBefore: this.#prefetchedBefore ?? this.#bytesPrefetched,
      onEnd: (summary, run) => {
        tally.listener = undefined;
        this.#watch = undefined;
        if (run) this.#keep(run);
        this.#parts.logger.info({ volume: volumeName, ...summary }, 'start-up complete');
      },
    });
    this.#watch = watch;
    this.#prefetchedBefore = undefined;
    tally.listener = watch.onBlock;
  }

  /** The volume was unmounted: so is a start that is watched over. */
  end(): void {
    this.#watch?.end();
    this.#prefetchedBefore = undefined;
  }

  /**
   * A profile that came from elsewhere is kept along with what this run adds to it. Alone, a run that was over before anybody
   * had that one would stand before it from then on: "ls" in a container, and the content's own would be lost.
   */
  #keep(run: BootProfile): void {
    const { profiles } = this.#parts;
    if ((!this.#found || this.#found.isLate) && !profiles.has(run.root)) return;
    void profiles.mergeLater(run, this.#found?.profile).then((profile) => {
      this.#recorded = describe({ profile, origin: 'recorded' });
    });
  }

  get #bytesPrefetched(): number {
    const { background, profile } = this.#options.tally.fetched;
    return background.bytes + profile.bytes;
  }

  /** What profiles are kept by. */
  get #rootText(): string {
    return this.#options.root.toV1().toString();
  }
}

/** `ignored`: none where nothing was looked for but what is kept here. */
function describe({
  profile,
  origin,
  ignored = [],
}: Pick<FoundProfile, 'profile' | 'origin'> & Partial<FoundProfile>): string | null {
  const used = profile
    ? `${formatCount(profile.blocks.size, 'block')} of ${formatCount(profile.runs, 'run')}, ${origin}`
    : undefined;
  return [used, ...ignored.map((why) => `ignored ${why}`)].filter((part) => part !== undefined).join('; ') || null;
}
