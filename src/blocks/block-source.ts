/**
 * Where blocks come from: a Kubo node, a gateway, a fault-injecting source of the tests. One file a source in `sources/`.
 *
 * A source hands over bytes as they came. It verifies nothing; the want queue does, in one place, before anyone else
 * sees them. A source neither retries nor hedges: it answers one question, and the queue decides what follows.
 */
import type { CID } from 'multiformats/cid';
import type { Block } from './block.ts';
import type { Priority } from './priority.ts';

export interface FetchOptions {
  /** Aborting it ends the request on the wire. */
  readonly signal: AbortSignal;
  readonly priority: Priority;
  /** Told as the answer comes, of so many bytes more: what comes slowly is not silent. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

export interface BlockSource {
  /** For logs and `status`, such as `kubo http://127.0.0.1:5001`. Never holds credentials. */
  readonly name: string;

  /**
   * True where nobody asked for it: it is used when it answers. As long as it never has, a request that fails says that
   * it is not there, and nobody waits for it; it is asked again now and then, and counts as any other once it answers.
   */
  readonly optional?: boolean | undefined;

  /**
   * The bytes of the block as the source sent them, unverified, at most MAX_BLOCK_BYTES of them.
   *
   * @throws BLOCK_UNAVAILABLE where the source says that it has no such block,
   *   BLOCK_TOO_LARGE as soon as it sends more than MAX_BLOCK_BYTES,
   *   SOURCE_FAILED where it could not answer (the message says what happened),
   *   ABORTED where `signal` was.
   */
  getBlock(cid: CID, options: FetchOptions): Promise<Uint8Array>;

  /**
   * Asks for what the source must have at hand, whatever it searches for meanwhile. Resolves once it answered, false where
   * that was a refusal. Where it cannot be asked so, its silence alone tells. @throws SOURCE_FAILED, ABORTED
   */
  ping?(options: { readonly signal: AbortSignal }): Promise<boolean>;

  /** Ends pending requests and gives back sockets. Idempotent. */
  close(): Promise<void>;
}

/**
 * What one answer brings of a DAG (IPIP-402): the blocks on the way to bytes `from`..`to` (inclusive) of a file, or all blocks,
 * which are thought to measure `treeBytes`. With `entry` of what the directory at the root calls so, and the way there.
 */
export type DagScope = ({ readonly from: number; readonly to: number } | { readonly treeBytes: number }) & {
  readonly entry?: string | undefined;
};

/** What it is thought to measure: the blocks that reach over a range's ends, and the way there, not counted. */
export function scopeBytes(scope: DagScope): number {
  return 'treeBytes' in scope ? scope.treeBytes : scope.to - scope.from + 1;
}

/** A source that can send many blocks in one answer (a CAR of a trustless gateway). */
export interface RangeSource extends BlockSource {
  /** Those of `scope`, from `root` on, in the DAG's order and unverified. May end early without an error: count what came. */
  getRange(root: CID, scope: DagScope, options: FetchOptions): AsyncIterable<Block>;
}

export function isRangeSource(source: BlockSource): source is RangeSource {
  return 'getRange' in source;
}
