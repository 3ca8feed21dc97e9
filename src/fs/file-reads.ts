/**
 * Reading a file's bytes: clamped to its size, never short of it, all blocks of the range wanted at once.
 *
 * With one mount for all volumes a read names none: it counts for every mounted volume that holds the node, and waits as
 * long as the most patient of them allows. What failed is remembered for a moment, because the kernel asks for a failed
 * page a second time at once, and that must not wait a second time-out.
 */
import { LRUCache } from 'lru-cache';
import { CodedError, codeOf } from '../base/errors.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import { Scratch } from '../base/scratch.ts';
import { CODEC_RAW, cidOf, codecOf } from '../unixfs/content-key.ts';
import { type FileIndex, type OnFailure, sizeDiffers } from '../unixfs/file-index.ts';
import { readExtents } from '../unixfs/read-extents.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import { type ByteRange, type EarlierFailure, FailedReads, withinGrace } from './failed-reads.ts';
import type { OnFailedRequest } from './failure-log.ts';
import type { NodeId, RequestContext } from './file-system.ts';
import type { MountedVolume } from './mounted-volume.ts';
import type { ContentNode } from './node.ts';
import type { NodeTable } from './node-table.ts';
import { NodeWant } from './node-want.ts';
import type { ReadObserver } from './read-observer.ts';

/** A read of 1 MiB, and the rest of the checked pages at the ends of its pieces. */
const SCRATCH_BYTES = 2 * 1024 * 1024;
/** Files with an index at hand. */
const FILES_KEPT = 4096;

/** One read on its way, within the file. */
interface Attempt extends ByteRange {
  readonly node: ContentNode;
  readonly volumes: readonly MountedVolume[];
  readonly sinceMs: number;
  /** A read of the same that failed a moment ago. */
  readonly earlier: EarlierFailure | undefined;
  /** What could not be had, where that is known: the rest of the range may be asked for again at once. */
  failed: ByteRange | undefined;
}

export class FileReads {
  readonly #unixfs: UnixfsReader;
  readonly #nodes: NodeTable;
  readonly #now: () => number;
  readonly #observers: readonly ReadObserver[];
  readonly #failures: FailedReads;
  readonly #onFailed: OnFailedRequest;
  readonly #scratch = new Scratch(SCRATCH_BYTES);
  readonly #indexes = new LRUCache<NodeId, FileIndex>({ max: FILES_KEPT });

  constructor(
    unixfs: UnixfsReader,
    nodes: NodeTable,
    now: () => number,
    observers: readonly ReadObserver[],
    onFailed: OnFailedRequest,
  ) {
    this.#unixfs = unixfs;
    this.#nodes = nodes;
    this.#now = now;
    this.#observers = observers;
    this.#failures = new FailedReads(now);
    this.#onFailed = onFailed;
  }

  read(
    node: ContentNode,
    offset: number,
    length: number,
    context: RequestContext,
  ): MaybePromise<readonly Uint8Array[]> {
    const end = Math.min(offset + length, node.sizeBytes);
    if (offset >= end) return [];
    this.#scratch.reset();
    const volumes = this.#count(node);
    const earlier = this.#failures.find(node.id, { from: offset, to: end });
    // Before anybody is told: the kernel's second try is no reader's, and nothing may be fetched on its account.
    if (earlier?.certain) throw earlier.error;
    const attempt: Attempt = { node, from: offset, to: end, volumes, sinceMs: this.#now(), earlier, failed: undefined };
    const file = this.#index(node);
    if (this.#observers.length > 0) {
      const read = { volumes: attempt.volumes, node: node.id, file, offset, length: end - offset };
      for (const observer of this.#observers) observer.onRead(read);
    }
    try {
      const pieces = earlier ? this.#soon(attempt, earlier, file, context) : this.#pieces(attempt, file, context);
      if (!(pieces instanceof Promise)) return this.#succeeded(attempt, whole(attempt, pieces));
      return this.#waited(attempt, pieces).then(
        (read) => this.#succeeded(attempt, read),
        (error: unknown) => this.#failed(attempt, error),
      );
    } catch (error) {
      return this.#failed(attempt, error);
    }
  }

  /** `#pieces`, or how it failed before, after a grace. */
  #soon(attempt: Attempt, { error }: EarlierFailure, file: FileIndex, context: RequestContext) {
    const over = new AbortController();
    const pieces = this.#pieces(attempt, file, { signal: AbortSignal.any([context.signal, over.signal]) });
    return pieces instanceof Promise ? withinGrace(pieces, error, () => over.abort()) : pieces;
  }

  #pieces(attempt: Attempt, file: FileIndex, context: RequestContext): MaybePromise<readonly Uint8Array[]> {
    const { node, from, to } = attempt;
    const { blocks } = this.#unixfs;
    const want = new NodeWant('demand', node.holders.timeoutMs, context, this.#now, node.holders.account);
    if (codecOf(node.key) === CODEC_RAW && !node.sizeVerified) {
      // Its size is what a link claimed: the first read takes the whole block, to see. Never a silent truncation.
      attempt.failed = { from: 0, to: node.sizeBytes };
      return chain(blocks.get(cidOf(node.key), want), (block) => [this.#verified(node, block).subarray(from, to)]);
    }
    const onFailure: OnFailure = (offset, length) => {
      attempt.failed ??= { from: offset, to: offset + length };
    };
    const extents = file.locate(from, to, want, onFailure);
    // The scratch is for what is answered in this turn.
    if (!(extents instanceof Promise)) return readExtents(blocks, extents, want, onFailure, this.#scratch);
    return extents.then((located) => readExtents(blocks, located, want, onFailure));
  }

  #verified(node: ContentNode, block: Uint8Array): Uint8Array {
    if (block.length !== node.sizeBytes) throw sizeDiffers(node.sizeBytes, block.length);
    this.#nodes.sizeVerified(node);
    return block;
  }

  #index(node: ContentNode): FileIndex {
    let file = this.#indexes.get(node.id);
    if (!file) {
      file = this.#unixfs.file(node.key, node.sizeBytes);
      this.#indexes.set(node.id, file);
    }
    return file;
  }

  #count(node: ContentNode): readonly MountedVolume[] {
    const { volumes } = node.holders;
    const mounted = volumes.every((volume) => volume.mounted) ? volumes : volumes.filter((volume) => volume.mounted);
    for (const { counters } of mounted) counters.reads++;
    return mounted;
  }

  /** Shown as waiting until it is settled. */
  async #waited(attempt: Attempt, work: Promise<readonly Uint8Array[]>): Promise<readonly Uint8Array[]> {
    const { volumes, sinceMs } = attempt;
    const wait = { what: whatOf(attempt), sinceMs };
    for (const { waits } of volumes) waits.add(wait);
    try {
      return whole(attempt, await work);
    } finally {
      for (const { waits } of volumes) waits.delete(wait);
    }
  }

  #succeeded(attempt: Attempt, pieces: readonly Uint8Array[]): readonly Uint8Array[] {
    for (const volume of attempt.volumes) volume.delivered(attempt.to - attempt.from, this.#now);
    return pieces;
  }

  #failed(attempt: Attempt, error: unknown): never {
    const { node, from, to, volumes, sinceMs, earlier, failed } = attempt;
    // What is only said again is not noted anew: whoever asks without a pause would never be given more than the grace.
    if (error === earlier?.error) throw error;
    if (codeOf(error) !== 'ABORTED')
      this.#failures.remember(node.id, { from, to }, failed, error, this.#now() - sinceMs);
    for (const volume of volumes) this.#onFailed(volume, () => whatOf(attempt), error);
    throw error;
  }
}

function whatOf({ node, from, to }: Attempt): string {
  return `bytes ${from} to ${to - 1} of ${cidOf(node.key)}`;
}

/** A program would take what is short for the end of the file: whatever made it so, an error is better. @throws INTERNAL */
function whole({ from, to }: Attempt, pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  let sizeBytes = 0;
  for (const piece of pieces) sizeBytes += piece.length;
  if (sizeBytes === to - from) return pieces;
  throw new CodedError('INTERNAL', `${sizeBytes} bytes came of ${to - from} that were asked for`);
}
