/**
 * Reads ahead of each reader, so that it finds its next blocks here instead of waiting a round trip for each.
 *
 * A stream's window begins at a few blocks. Whenever the reader catches up with it, the window doubles, until it holds
 * what the path holds several times over (rate × delay, both as the stream saw them): more would only take memory. A
 * read that continues nothing fetches nothing. What is wanted ahead is wanted at `readahead`, below every reader, is
 * bounded by bytes over all streams, and is dropped when its stream is given up.
 *
 * Large blocks are wanted one by one: how many are under way at once is then the want queue's to find, a reader who
 * waits for one of them lifts that one, and none comes twice. Small ones go as a range, where a source sends ranges: a
 * request costs as much as a few of them.
 *
 * Nobody waits for anything here, and nothing here fails a read.
 */
import { LRUCache } from 'lru-cache';
import { MAX_BLOCK_BYTES } from '../../blocks/block.ts';
import type { BlockReader, OnBlock, WantOptions } from '../../blocks/block-reader.ts';
import { cidOf } from '../../unixfs/content-key.ts';
import type { Extent, FileIndex } from '../../unixfs/file-index.ts';
import type { NodeId } from '../file-system.ts';
import type { MountedVolume } from '../mounted-volume.ts';
import type { ObservedRead, ReadObserver } from '../read-observer.ts';
import { SharedBound } from '../shared-bound.ts';
import { type ReadStream, ReadStreams } from './read-streams.ts';

export interface ReadaheadOptions {
  /** A stream's largest window. 32 MiB is 1 Gbit/s at a quarter of a second. */
  readonly maxWindowBytes?: number;
  /** Bound on what all streams have on its way at once; those of one volume two thirds of it. */
  readonly maxOutstandingBytes?: number;
  /** A clock in milliseconds that never goes back. */
  readonly now?: () => number;
}

/** Of all streams: three of the largest windows. */
const MAX_OUTSTANDING_BYTES = 96 * 1024 * 1024;
/** Two blocks of today's importers, eight of yesterday's. */
const FIRST_WINDOW_BYTES = 2 * 1024 * 1024;
/**
 * A window may hold what the path does so many times: once is under way, once is here and not read yet, and halving what
 * is asked for at a time needs as much again.
 */
const PATHS_A_WINDOW = 4;
/** A request costs a source and us about what 64 KiB do; blocks from here on are asked for one by one. */
const LARGE_BLOCK_BYTES = 128 * 1024;
/** A strided reader's window counts reads, each of which may be a block's worth of fetching. */
const FIRST_STRIDES = 4;
const MAX_STRIDES = 64;
/** Files whose readers are remembered. */
const FILES_KEPT = 1024;

/** Charged to one of the volumes that hold the file, so that none takes all of the bound. */
interface StreamWant extends WantOptions {
  readonly owner: MountedVolume | undefined;
}

/** What is ahead of one stream. */
class Window {
  readonly abort = new AbortController();
  bytes = FIRST_WINDOW_BYTES;
  strides = FIRST_STRIDES;
  /** Up to where, in the file, everything was asked for, and up to where it came. */
  frontier = 0;
  arrived = 0;
  /** For strided streams: how many reads ahead were asked for. */
  stridesAsked = 0;
  /** The least that a block took to come. */
  delayMs = Number.POSITIVE_INFINITY;
  /** What was read since `sinceMs`, and whether the reader caught up with what came. */
  #readBytes = 0;
  #caughtUp = false;
  #sinceMs: number;
  #bytesPerMs = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** Takes note of a read up to `end`, and grows where that is due. */
  advance(end: number, length: number, nowMs: number, maxBytes: number): void {
    this.#readBytes += length;
    this.#caughtUp ||= end > this.arrived;
    // Judged when a window's worth was read through it, so that one measure covers a round trip or more.
    if (this.#readBytes < this.bytes || nowMs <= this.#sinceMs) return;
    this.#bytesPerMs = Math.max(this.#bytesPerMs, this.#readBytes / (nowMs - this.#sinceMs));
    const enough = PATHS_A_WINDOW * this.#bytesPerMs * this.delayMs;
    if (this.#caughtUp && this.bytes < enough) this.bytes = Math.min(this.bytes * 2, maxBytes);
    this.#readBytes = 0;
    this.#caughtUp = false;
    this.#sinceMs = nowMs;
  }
}

export class Readahead implements ReadObserver {
  readonly #blocks: BlockReader;
  readonly #maxWindowBytes: number;
  readonly #now: () => number;
  readonly #files = new LRUCache<NodeId, ReadStreams>({
    max: FILES_KEPT,
    dispose: (streams) => {
      for (const stream of streams.streams()) this.#drop(stream);
    },
  });
  readonly #windows = new WeakMap<ReadStream, Window>();
  readonly #outstanding: SharedBound<MountedVolume | undefined>;

  constructor(blocks: BlockReader, options: ReadaheadOptions = {}) {
    this.#blocks = blocks;
    this.#maxWindowBytes = options.maxWindowBytes ?? 32 * 1024 * 1024;
    this.#outstanding = new SharedBound(options.maxOutstandingBytes ?? MAX_OUTSTANDING_BYTES);
    this.#now = options.now ?? (() => performance.now());
  }

  /** Wanted ahead and not here yet, over all streams. */
  get outstandingBytes(): number {
    return this.#outstanding.heldBytes;
  }

  onRead({ node, file, offset, length, volumes }: ObservedRead): void {
    let streams = this.#files.get(node);
    if (!streams) {
      streams = new ReadStreams();
      this.#files.set(node, streams);
    }
    const { stream, dropped } = streams.observe(offset, length);
    if (dropped) this.#drop(dropped);
    if (stream.pattern === 'random') return;
    const window = this.#window(stream);
    const timeoutMs = volumes.reduce((longest, { spec }) => Math.max(longest, spec.timeoutMs), 0) || undefined;
    const account: OnBlock = (...block) => {
      for (const volume of volumes) volume.account(...block);
    };
    const owner = volumes[0];
    const want: StreamWant = { priority: 'readahead', signal: window.abort.signal, timeoutMs, account, owner };
    if (stream.pattern === 'sequential') this.#ahead(stream, window, file, want);
    else this.#strides(stream, window, file, want);
  }

  #ahead(stream: ReadStream, window: Window, file: FileIndex, want: StreamWant): void {
    const { end, length } = stream;
    window.advance(end, length, this.#now(), this.#maxWindowBytes);
    window.frontier = Math.max(window.frontier, end);
    const from = window.frontier;
    const to = Math.min(end + window.bytes, file.sizeBytes);
    // By quarters: not for each read, and not so late that the last of it is here before the next is asked for.
    if (from >= to || (to < file.sizeBytes && to - from < window.bytes / 4)) return;
    const frontier = this.#want(file, from, to, want, window);
    if (frontier === undefined) return;
    window.frontier = frontier;
    this.#findWay(file, to + window.bytes, want);
  }

  /**
   * Brings the inner nodes that lead to byte `at`. Wanted only when the window gets there, they would come behind all of
   * it, and nothing could be asked for meanwhile.
   */
  #findWay(file: FileIndex, at: number, want: WantOptions): void {
    if (at >= file.sizeBytes) return;
    try {
      const extents = file.locate(at, at + 1, want);
      if (extents instanceof Promise) extents.catch(nothing);
    } catch {
      // The reader will be told, should it get there.
    }
  }

  #strides(stream: ReadStream, window: Window, file: FileIndex, want: StreamWant): void {
    const { offset, length, stride } = stream;
    // One of those asked for is read now.
    window.stridesAsked = Math.max(0, window.stridesAsked - 1);
    if (window.stridesAsked > window.strides / 2) return;
    for (let ahead = window.stridesAsked + 1; ahead <= window.strides; ahead++) {
      const from = offset + ahead * stride;
      if (from < 0 || from >= file.sizeBytes) break;
      if (this.#want(file, from, Math.min(from + length, file.sizeBytes), want) === undefined) return;
      window.stridesAsked = ahead;
    }
    window.strides = Math.min(window.strides * 2, MAX_STRIDES);
  }

  /**
   * Up to where everything is asked for then, which is the end of a block where that is known at once. Undefined where the
   * volume's share of the bound is taken: a later read tries again.
   */
  #want(file: FileIndex, from: number, to: number, want: StreamWant, window?: Window): number | undefined {
    if (!this.#outstanding.hasRoom(want.owner)) return undefined;
    const fetch = async (extents: readonly Extent[]) => {
      await this.#fetch(file, from, to, extents, want, window);
      if (window) window.arrived = Math.max(window.arrived, to);
    };
    try {
      const extents = file.locate(from, to, want);
      if (extents instanceof Promise) {
        extents.then(fetch).catch(nothing);
        return to;
      }
      fetch(extents).catch(nothing);
      const last = extents.at(-1);
      return last?.blockBytes === undefined ? to : last.offset - last.offsetInBlock + last.blockBytes;
    } catch {
      // The reader will be told.
      return to;
    }
  }

  async #fetch(
    file: FileIndex,
    from: number,
    to: number,
    extents: readonly Extent[],
    want: StreamWant,
    window: Window | undefined,
  ): Promise<void> {
    const absent = extents.filter(({ cid, offsetInBlock, length }) => {
      if (!this.#blocks.has(cid)) return true;
      this.#blocks.expect(cid, offsetInBlock, offsetInBlock + length);
      return false;
    });
    if (absent.length === 0) return;
    // What a file claims of a block, but no more than a block can be: the bound is everybody's.
    const sizes = absent.map(({ blockBytes, length }) => Math.min(blockBytes ?? length, MAX_BLOCK_BYTES));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    this.#outstanding.take(want.owner, bytes);
    // One round trip for all, where a source can; whatever did not come that way is asked for block by block.
    if (absent.length > 1 && bytes / absent.length < LARGE_BLOCK_BYTES)
      await this.#blocks.fetchRange(cidOf(file.key), { from, to: to - 1 }, want).catch(nothing);
    await Promise.all(absent.map((extent, index) => this.#fetchBlock(extent, sizes[index] as number, want, window)));
  }

  async #fetchBlock({ cid }: Extent, sizeBytes: number, want: StreamWant, window: Window | undefined): Promise<void> {
    const sinceMs = this.#now();
    try {
      await this.#blocks.get(cid, want);
      if (window) window.delayMs = Math.min(window.delayMs, this.#now() - sinceMs);
    } catch {
      // The reader will ask for it itself, and be told why it fails.
    } finally {
      this.#outstanding.give(want.owner, sizeBytes);
    }
  }

  #window(stream: ReadStream): Window {
    let window = this.#windows.get(stream);
    if (!window) {
      window = new Window(this.#now());
      this.#windows.set(stream, window);
    }
    return window;
  }

  #drop(stream: ReadStream): void {
    this.#windows.get(stream)?.abort.abort();
  }
}

function nothing(): void {}
