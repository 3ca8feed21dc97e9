/**
 * Blocks kept on this machine: the local store (never evicts) and the disk cache (bounded).
 *
 * What a store returns is as good as verified: it was verified at admission and is checked against the checksums made
 * then. Damage found on reading is reported once, the block forgotten, and the answer is `undefined`: as if it had
 * never been there, so that it is fetched again.
 */
import type { CID } from 'multiformats/cid';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import type { BlockKey } from './block.ts';
import type { Priority } from './priority.ts';

/** The first and last bytes of a block of `sizeBytes`; they do not overlap. */
export interface BlockEnds {
  readonly sizeBytes: number;
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

export interface BlockStore {
  /** For logs, `status` and metrics: `local store`, `disk cache`. */
  readonly name: string;

  /** True where the block is kept. In memory or one index look-up: callable for every block of a volume. */
  has(key: BlockKey): boolean;

  /** The whole block, valid in this turn; or `undefined` where it is absent or was found damaged. */
  get(key: BlockKey): MaybePromise<Uint8Array | undefined>;

  /** Size and ends of a large block, by the index alone; `undefined` where they are not known without reading it. */
  ends?(key: BlockKey): BlockEnds | undefined;

  /** Bytes `start`..`end` of the block will be read soon: may bring them nearer meanwhile. Never fails. */
  expect?(key: BlockKey, start: number, end: number): void;

  /** A reader was given the block from memory, which is a use of it where it is kept. Takes note, and asks no disk. */
  used?(key: BlockKey): void;

  /**
   * Bytes `start`..`end` (exclusive) of the block without reading all of it; only the checksummed pages that hold the
   * range are read and checked. `undefined` as in `get`, and where the block is shorter than `end`. What is answered in
   * this turn may be in `scratch`; in one that outlives its turn also what comes later.
   */
  getRange(key: BlockKey, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined>;
}

/** A store that takes what the want queue verified. Admission never delays the reader that waits for the block. */
export interface BlockSink {
  /**
   * Takes a verified block, which was fetched with `priority`, and says that it keeps it (`keep`). Returns at once; trouble (a full disk) is the sink's own to
   * report, never the caller's.
   */
  admit(cid: CID, bytes: Uint8Array, priority: Priority): void;
}
