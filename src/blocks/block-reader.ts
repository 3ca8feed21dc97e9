/**
 * How everything above `blocks/` gets blocks. The implementation (`BlockService`) looks in memory, then in the stores on
 * this machine, then asks the want queue; every byte that comes out was verified.
 */
import type { CID } from 'multiformats/cid';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import type { BlockKey } from './block.ts';
import type { DagScope } from './block-source.ts';
import type { BlockEnds } from './block-store.ts';
import type { Priority } from './priority.ts';

/** Told of each block, or part of one, that a caller was given; `origin` is a source's or store's name, or `memory`. */
export type OnBlock = (
  cid: CID,
  sizeBytes: number,
  how: {
    readonly priority: Priority;
    readonly origin: string;
    readonly fetched: boolean;
    /** A reader waits for it although its priority is not `demand`. */
    readonly awaited?: boolean;
    /** Bytes of it were given, and not all: `sizeBytes` is theirs. */
    readonly part?: boolean;
  },
) => void;

export interface WantOptions {
  readonly priority: Priority;
  /** The want is dropped when its last interested caller aborts. Read only when the block must be waited for. */
  readonly signal?: AbortSignal | undefined;
  /** Bound on the wait; the reader's default otherwise. In milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** What the caller was given in all, where `timeoutMs` is what is left of it: the error of a time-out says this. */
  readonly limitMs?: number | undefined;
  /** What the block measures, as far as the caller knows: many small ones may be under way at once before a path is known. */
  readonly expectedBytes?: number | undefined;
  /** A reader waits for it, whatever its priority: it is worth a second request where the first is slow. As each with `demand` is. */
  readonly awaited?: boolean | undefined;
  /** On whose account the block is. Must not throw. */
  readonly account?: OnBlock | undefined;
}

export interface BlockReader {
  /**
   * The block's bytes, verified; a value in the same turn where the block is on this machine. Never to be modified, and valid
   * in the turn in which they are given: whoever needs them longer copies them (`block-memory.ts`).
   *
   * @throws BLOCK_UNAVAILABLE, BLOCK_TIMEOUT, BLOCK_CORRUPT, BLOCK_TOO_LARGE, ABORTED; thrown or rejected.
   */
  get(cid: CID, options: WantOptions): MaybePromise<Uint8Array>;

  /**
   * Bytes `start`..`end` (exclusive) of the block, verified; DAG_INVALID where the block is shorter than `end`. What is
   * answered in this turn may be in `scratch`, and is then valid until that is reset.
   */
  getRange(cid: CID, start: number, end: number, options: WantOptions, scratch?: Scratch): MaybePromise<Uint8Array>;

  /**
   * Size and ends of a large block on the disk here, verified, where they are known without reading it; never of one that
   * `get` has in memory.
   */
  ends(cid: CID, options: WantOptions): BlockEnds | undefined;

  /** Bytes `start`..`end` of a block on the disk here will be read soon. Never fails, and changes nothing but the wait. */
  expect(cid: CID, start: number, end: number): void;

  /**
   * The last bytes of a block of file data were given to a reader. The kernel has its pages now and asks for none again: memory
   * that holds it for no other reason is better given to what comes next. Changes nothing but that.
   */
  readToEnd(cid: CID): void;

  /** True where `get` needs no source: identity CIDs, memory, local store, cache. */
  has(cid: CID): boolean;

  /** True where the block outlives this process: identity CIDs, local store, cache. */
  isKept(key: BlockKey): boolean;

  /**
   * Brings the blocks of `scope`, from `root` on, to this machine, in one round trip where a source can; resolves with how many
   * came, 0 where no source can. Never throws for what did not come.
   */
  fetchRange(root: CID, scope: DagScope, options: WantOptions): Promise<number>;
}
