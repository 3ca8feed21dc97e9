/**
 * How much more of a volume the background may bring into the cache.
 *
 * Under `auto` all mounted volumes together fill the cache to a share of its bound and no more, so that none pushes out
 * another's blocks, nor the cache the blocks of readers. What was asked for whole may have all of it but for what others
 * have pinned.
 *
 * What is pinned stays, whether its volume is mounted or not, and whether it was heard of since the start: the cache knows how
 * much that is. Volumes of one root have the same blocks, which count once.
 */
import type { CID } from 'multiformats/cid';
import { formatBytes } from '../base/units.ts';

/** Of the cache's bound: the rest is for what readers fetch by themselves. */
const AUTO_SHARE = 0.9;

/** A volume with something in the cache. */
export interface RoomUser {
  readonly root: CID;
  /** What of it the cache may evict, and what of that the background brought. */
  readonly tally: { readonly evictableBytes: number; readonly broughtBytes: number };
  readonly options: { readonly pin: boolean };
  /** Undefined while it is not mounted. */
  readonly volume: unknown;
}

/**
 * The cache's bound, what of it blocks may take, what of that is pinned, and is free, and what new blocks push out before each
 * other.
 */
export interface RoomLimits {
  readonly limitBytes: number;
  readonly roomBytes: number;
  readonly pinnedBytes: number;
  readonly freeBytes: number;
  readonly newcomersBytes: number;
}

export class FillRoom {
  readonly #limits: () => RoomLimits;
  readonly #users: () => Iterable<RoomUser>;

  constructor(limits: () => RoomLimits, users: () => Iterable<RoomUser>) {
    this.#limits = limits;
    this.#users = users;
  }

  /** Room for so many bytes more of `user`? Asked before each block, and a thousand volumes may be mounted. */
  hasRoom(user: RoomUser, bytes: number, whole: boolean): boolean {
    const sum = { pinned: 0, others: 0 };
    this.#eachTaken(user, whole, (other, kind) => {
      sum[kind] += other.tally.evictableBytes;
    });
    // Whatever they share, they do not take more than this.
    const isWithin = bytes <= this.#left(sum.pinned, sum.others, whole) || bytes <= this.#share(user, whole);
    return isWithin && (whole || bytes <= this.#untilItself(user));
  }

  /** What is left for `user`, which is wanted `whole` or else as far as others leave room; below 0 where there is too much. */
  bytesFor(user: RoomUser, whole: boolean): number {
    const share = this.#share(user, whole);
    return whole ? share : Math.min(share, this.#untilItself(user));
  }

  /** The same, by what volumes have. */
  #share(user: RoomUser, whole: boolean): number {
    const taken = { pinned: new Map<string, number>(), others: new Map<string, number>() };
    this.#eachTaken(user, whole, ({ root, tally }, kind) => {
      const key = root.toString();
      taken[kind].set(key, Math.max(taken[kind].get(key) ?? 0, tally.evictableBytes));
    });
    for (const root of taken.pinned.keys()) taken.others.delete(root);
    return this.#left(sumOf(taken.pinned.values()), sumOf(taken.others.values()), whole);
  }

  /** Tells of each volume that takes some of what `user` might have, and whether that is pinned: its own is as it comes. */
  #eachTaken(user: RoomUser, whole: boolean, visit: (other: RoomUser, kind: 'pinned' | 'others') => void): void {
    for (const other of this.#users()) {
      const { pin } = other.options;
      if (other === user || (whole ? pin : other.volume !== undefined)) visit(other, pin ? 'pinned' : 'others');
    }
  }

  #left(pinnedBytes: number, otherBytes: number, whole: boolean): number {
    const limits = this.#limits();
    const bound = whole ? limits.roomBytes : limits.limitBytes * AUTO_SHARE;
    return bound - Math.max(limits.pinnedBytes, pinnedBytes) - otherBytes;
  }

  /**
   * What may come before what it brought is evicted for it: what others used again stays, and a fill that goes on beyond that
   * fetches all of a volume for nothing, its directories among the first to go.
   */
  #untilItself({ tally }: RoomUser): number {
    const { freeBytes, newcomersBytes } = this.#limits();
    return freeBytes + Math.max(0, newcomersBytes - tally.broughtBytes);
  }

  /** Of a volume that is wanted whole, of so many bytes where that is known. */
  noRoomText(bytesTotal: number | null): string {
    const bound = formatBytes(this.#limits().limitBytes);
    const size = bytesTotal === null ? 'the volume' : `the volume's ${formatBytes(bytesTotal)}`;
    return `the cache of ${bound} has no room for ${size} beside what is pinned: raise IPFS_VOLUME_CACHE_SIZE`;
  }

  /** Of one that is not. */
  stoppedText(user: RoomUser, bytesHere: number, bytesTotal: number | null): string {
    const isItsShare = this.#share(user, false) <= this.#untilItself(user);
    const share = isItsShare
      ? `auto fills the cache to ${AUTO_SHARE * 100} %`
      : 'auto leaves in the cache what is used again and again';
    const of = bytesTotal === null ? '' : ` of ${formatBytes(bytesTotal)}`;
    return `${share}: ${formatBytes(bytesHere)}${of}; prefetch=all or a larger IPFS_VOLUME_CACHE_SIZE brings the rest`;
  }
}

function sumOf(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
