/**
 * How much more of a volume the background may bring into the cache.
 *
 * Under `auto` all mounted volumes together fill the cache to a share of its bound and no more, so that none pushes out
 * another's blocks, nor the cache the blocks of readers. What was asked for whole may have all of it but for what others
 * have pinned.
 */
import { formatBytes } from '../base/units.ts';

/** Of the cache's bound: the rest is for what readers fetch by themselves. */
const AUTO_SHARE = 0.9;

/** A volume with something in the cache. */
export interface RoomUser {
  readonly tally: { readonly evictableBytes: number };
  readonly options: { readonly pin: boolean };
  /** Undefined while it is not mounted. */
  readonly volume: unknown;
}

export class FillRoom {
  readonly #limitBytes: () => number;
  readonly #users: () => Iterable<RoomUser>;

  constructor(limitBytes: () => number, users: () => Iterable<RoomUser>) {
    this.#limitBytes = limitBytes;
    this.#users = users;
  }

  /** What is left for `user`, which is wanted `whole` or else as far as others leave room; below 0 where there is too much. */
  bytesFor(user: RoomUser, whole: boolean): number {
    let taken = 0;
    for (const other of this.#users()) {
      const counts = other === user || (whole ? other.options.pin : other.volume !== undefined);
      if (counts) taken += other.tally.evictableBytes;
    }
    return this.#limitBytes() * (whole ? 1 : AUTO_SHARE) - taken;
  }

  /** Of a volume that is wanted whole, of so many bytes where that is known. */
  noRoomText(bytesTotal: number | null): string {
    const bound = formatBytes(this.#limitBytes());
    const size = bytesTotal === null ? 'the volume' : `the volume's ${formatBytes(bytesTotal)}`;
    return `the cache of ${bound} has no room for ${size} beside what is pinned: raise IPFS_VOLUME_CACHE_SIZE`;
  }

  /** Of one that is not. */
  stoppedText(bytesHere: number, bytesTotal: number | null): string {
    const share = `auto fills the cache to ${AUTO_SHARE * 100} %`;
    const of = bytesTotal === null ? '' : ` of ${formatBytes(bytesTotal)}`;
    return `${share}: ${formatBytes(bytesHere)}${of}; prefetch=all or a larger IPFS_VOLUME_CACHE_SIZE brings the rest`;
  }
}
