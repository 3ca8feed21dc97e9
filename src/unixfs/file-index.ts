/**
 * Where the bytes of a file stand: offset → block, through the file's DAG of whatever shape.
 *
 * Nothing is kept here. The inner nodes, parsed once, are in `UnixfsReader`'s bounded cache, so the index of a file of
 * any size takes memory for what is being read and no more. A range is walked a level at a time, not by recursion: all
 * nodes of a level that are not here are wanted together, and a chain of ten thousand nodes costs no stack. How many
 * nodes a range may cost is bounded, and so is how many are read in one turn.
 *
 * What a parent claims of a child is checked when the child is read: a size that differs is DAG_INVALID, never a file
 * that ends early.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import { MAX_BLOCK_BYTES } from '../blocks/block.ts';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import { CODEC_DAG_PB, CODEC_RAW, type ContentKey, cidOf, codecOf } from './content-key.ts';
import { childAt, type FileNode } from './file-node.ts';
import type { UnixfsEntry } from './unixfs-entry.ts';

/** Where the nodes of a file come from, parsed; `UnixfsReader` is one. */
interface NodeReader {
  readonly blocks: Pick<BlockReader, 'fetchRange'>;
  /** True where the node can be had without the network. */
  has(key: ContentKey): boolean;
  /** @throws DAG_INVALID where the block is malformed, and what `blocks/` throws. */
  entry(key: ContentKey, options: WantOptions): MaybePromise<UnixfsEntry>;
}

/** A range of a file that stands in one piece in one block. */
export interface Extent {
  /** In the file, in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly cid: CID;
  readonly offsetInBlock: number;
  /** What the whole block must measure, where the block is nothing but file: whoever reads all of it checks. */
  readonly blockBytes: number | undefined;
}

/** Told of the part of a file that could not be had. */
export type OnFailure = (offset: number, length: number) => void;

/** A node of the DAG whose block must be read to know more. */
interface UnreadNode {
  readonly key: ContentKey;
  readonly offset: number;
  /** What its parent claims. */
  readonly sizeBytes: number;
  readonly depth: number;
}

interface Walk {
  readonly from: number;
  readonly to: number;
  readonly options: WantOptions;
  readonly onFailure: OnFailure | undefined;
  rangeFetched: boolean;
  /** Nodes opened so far, and since others had their turn. */
  nodes: number;
  nodesThisTurn: number;
}

/** Far beyond any file that a program wrote (the deepest layout is logarithmic); bounds the time of a hostile chain. */
const MAX_DEPTH = 16_384;
/** Blocks of 16 bytes under the largest read: smaller ones cost more to name than to hold. */
const MAX_EXTENTS = 65_536;
/**
 * Nodes opened for one range: as many leaves, the same number again above them (a binary tree has no more), and one chain.
 * A few thousand blocks that are linked a thousand times each would be opened by the billion.
 */
const MAX_NODES = 2 * MAX_EXTENTS + MAX_DEPTH;
/** Opened in one turn, where all of them are on this machine: some milliseconds, which readers of other files wait. */
const NODES_A_TURN = 4096;

export class FileIndex {
  readonly key: ContentKey;
  readonly sizeBytes: number;
  readonly #nodes: NodeReader;

  constructor(nodes: NodeReader, key: ContentKey, sizeBytes: number) {
    this.#nodes = nodes;
    this.key = key;
    this.sizeBytes = sizeBytes;
  }

  /**
   * The extents of bytes `from`..`to` (exclusive, clamped to the file), in order and without gaps. Where nodes on the way
   * are not on this machine, the whole range is asked for in one round trip first, then node by node. `onFailure` is told
   * which part an unreadable node stands for.
   *
   * @throws DAG_INVALID where the DAG contradicts itself or is no file, and what `blocks/` throws.
   */
  locate(from: number, to: number, options: WantOptions, onFailure?: OnFailure): MaybePromise<readonly Extent[]> {
    const start = { rangeFetched: false, nodes: 0, nodesThisTurn: 0 };
    const walk: Walk = { from, to: Math.min(to, this.sizeBytes), options, onFailure, ...start };
    if (walk.from >= walk.to) return [];
    const items: (Extent | UnreadNode)[] = [];
    if (codecOf(this.key) === CODEC_DAG_PB) {
      items.push({ key: this.key, offset: 0, sizeBytes: this.sizeBytes, depth: 0 });
    } else {
      pushBlock(items, walk, this.key, 0, this.sizeBytes);
    }
    return this.#walk(items, walk);
  }

  #walk(start: readonly (Extent | UnreadNode)[], walk: Walk): MaybePromise<readonly Extent[]> {
    let items = start;
    for (;;) {
      const unread = items.filter(isUnread);
      if (unread.length === 0) return items as readonly Extent[];
      if (walk.nodesThisTurn >= NODES_A_TURN) return this.#walkLater(items, walk);
      if (!walk.rangeFetched && unread.some((node) => this.#deservesRange(node))) {
        walk.rangeFetched = true;
        const { priority, signal, timeoutMs, account } = walk.options;
        const wait = { priority, signal, timeoutMs, account };
        const fetched = this.#nodes.blocks.fetchRange(cidOf(this.key), { from: walk.from, to: walk.to - 1 }, wait);
        const here = items;
        return fetched.then(() => this.#walk(here, walk));
      }
      walk.nodes += unread.length;
      walk.nodesThisTurn += unread.length;
      if (walk.nodes > MAX_NODES) throw new CodedError('DAG_INVALID', 'a few bytes of a file below too many nodes');
      const files = unread.map((node) => this.#file(node, walk));
      if (files.some((file) => file instanceof Promise)) {
        const here = items;
        return Promise.all(files).then((read) => this.#walk(open(here, read, walk), walk));
      }
      items = open(items, files as FileNode[], walk);
    }
  }

  /** Goes on when others had their turn. */
  async #walkLater(items: readonly (Extent | UnreadNode)[], walk: Walk): Promise<readonly Extent[]> {
    await nextTurn();
    if (walk.options.signal?.aborted) throw new CodedError('ABORTED', 'nobody waits for the read any more');
    walk.nodesThisTurn = 0;
    return this.#walk(items, walk);
  }

  #file(node: UnreadNode, walk: Walk): MaybePromise<FileNode> {
    const failed = (error: unknown) => {
      walk.onFailure?.(node.offset, node.sizeBytes);
      throw error;
    };
    try {
      const file = chain(this.#nodes.entry(node.key, walk.options), fileOf);
      return file instanceof Promise ? file.catch(failed) : file;
    } catch (error) {
      return Promise.reject(error).catch(failed);
    }
  }

  /** Below the root, a node of less than a block's size is nearly always a leaf: wanting it costs one round trip too. */
  #deservesRange(node: UnreadNode): boolean {
    return (node.depth === 0 || node.sizeBytes > MAX_BLOCK_BYTES) && !this.#nodes.has(node.key);
  }
}

/** `items` with each unread node replaced by what it holds of the range; `files` are those nodes, in order. */
function open(items: readonly (Extent | UnreadNode)[], files: readonly FileNode[], walk: Walk) {
  const opened: (Extent | UnreadNode)[] = [];
  let next = 0;
  for (const item of items) {
    if (isUnread(item)) openNode(opened, item, files[next++] as FileNode, walk);
    else opened.push(item);
    if (opened.length > MAX_EXTENTS) throw new CodedError('DAG_INVALID', 'a file in blocks of a few bytes each');
  }
  return opened;
}

function openNode(opened: (Extent | UnreadNode)[], node: UnreadNode, file: FileNode, walk: Walk): void {
  if (file.defect !== undefined) throw new CodedError('DAG_INVALID', `a file that contradicts itself: ${file.defect}`);
  if (file.sizeBytes !== node.sizeBytes) throw sizeDiffers(node.sizeBytes, file.sizeBytes);
  if (node.depth >= MAX_DEPTH) throw new CodedError('DAG_INVALID', `a file of more than ${MAX_DEPTH} levels`);
  const from = Math.max(walk.from, node.offset);
  const to = Math.min(walk.to, node.offset + file.sizeBytes);
  const dataEnd = Math.min(to, node.offset + file.dataLength);
  if (from < dataEnd) {
    const offsetInBlock = file.dataStart + (from - node.offset);
    opened.push({ offset: from, length: dataEnd - from, cid: cidOf(node.key), offsetInBlock, blockBytes: undefined });
  }
  if (!file.children) return;
  const { links, ends } = file.children;
  for (let link = childAt(file.children, from - node.offset); link < links.count; link++) {
    const start = link === 0 ? file.dataLength : (ends[link - 1] as number);
    if (node.offset + start >= to) break;
    const sizeBytes = (ends[link] as number) - start;
    if (sizeBytes === 0) continue;
    const key = links.key(link);
    const codec = codecOf(key);
    if (codec === CODEC_RAW) pushBlock(opened, walk, key, node.offset + start, sizeBytes);
    else if (codec === CODEC_DAG_PB)
      opened.push({ key, offset: node.offset + start, sizeBytes, depth: node.depth + 1 });
    else throw new CodedError('DAG_INVALID', `a block of codec 0x${codec.toString(16)} inside a file`);
    if (opened.length > MAX_EXTENTS) return;
  }
}

/** The part of the range that stands in a block which is nothing but file. */
function pushBlock(
  items: (Extent | UnreadNode)[],
  walk: Walk,
  key: ContentKey,
  start: number,
  blockBytes: number,
): void {
  const offset = Math.max(walk.from, start);
  const length = Math.min(walk.to, start + blockBytes) - offset;
  items.push({ offset, length, cid: cidOf(key), offsetInBlock: offset - start, blockBytes });
}

function isUnread(item: Extent | UnreadNode): item is UnreadNode {
  return 'key' in item;
}

function fileOf(entry: UnixfsEntry): FileNode {
  if (entry.kind === 'file') return entry.file;
  throw new CodedError('DAG_INVALID', `a ${entry.kind} inside a file`);
}

export function sizeDiffers(claimedBytes: number, foundBytes: number): CodedError {
  return new CodedError(
    'DAG_INVALID',
    `a block of a file holds ${foundBytes} bytes where ${claimedBytes} were claimed`,
  );
}
