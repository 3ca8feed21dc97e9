/**
 * Asks the kernel to forget nodes when the file system holds nearly as many as it can: FUSE_NOTIFY_PRUNE, with which the
 * kernel drops what it knows of these numbers if nobody uses them, and says FORGET (protocol 7.45, Linux 6.18).
 *
 * The kernel may have to wait while it drops one, in the end for an answer of ours; so it is another thread that writes,
 * one write at a time. It rests three times as long as a write took: where all is in use and nothing is forgotten, a
 * quarter of a thread is spent at the most, and nothing while no request comes.
 */
import { write } from 'node:fs';
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { NOTIFY_PRUNE, REPLY_HEADER_BYTES } from './protocol.ts';
import { setUint64 } from './structures.ts';

/** Nodes named at a time: some milliseconds of the kernel's time. */
const AT_ONCE = 4096;
const REST_FACTOR = 3;
/** Until it is tried again where the kernel refuses, which an older one always does. */
const RETRY_MS = 60_000;

export class Pruning {
  readonly #fileSystem: Pick<FileSystem, 'surplus'>;
  readonly #descriptor: number;
  readonly #logger: Logger;
  readonly #now: () => number;
  #writing = false;
  #restUntilMs = 0;
  #refused = false;
  /** What is left to do when nothing is written any more. */
  #ended: (() => void) | undefined;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(
    fileSystem: Pick<FileSystem, 'surplus'>,
    descriptor: number,
    logger: Logger,
    now = () => performance.now(),
  ) {
    this.#fileSystem = fileSystem;
    this.#descriptor = descriptor;
    this.#logger = logger;
    this.#now = now;
  }

  /** To be called with each request. */
  step(): void {
    if (this.#writing || this.#ended) return;
    const sinceMs = this.#now();
    if (sinceMs < this.#restUntilMs) return;
    const nodes = this.#fileSystem.surplus(AT_ONCE);
    if (nodes.length === 0) return;
    this.#writing = true;
    write(this.#descriptor, encodePrune(nodes), (error) => {
      this.#writing = false;
      const nowMs = this.#now();
      this.#restUntilMs = nowMs + (error ? RETRY_MS : REST_FACTOR * (nowMs - sinceMs));
      if (this.#ended) this.#ended();
      else if (error) this.#noteRefusal(error);
    });
  }

  /** What the kernel holds is bounded all the same. */
  #noteRefusal(error: Error): void {
    if (this.#refused) return;
    this.#refused = true;
    this.#logger.warn({ error: messageChain(error) }, 'the kernel cannot be asked to forget files and directories');
  }

  /** Asks no more. Calls `then`, once, when the descriptor is not written to any longer and may be closed. */
  end(then: () => void): void {
    this.#ended = then;
    if (!this.#writing) then();
  }
}

/** struct fuse_notify_prune_out: count, padding, spare, and then the numbers. */
function encodePrune(nodes: readonly number[]): Buffer {
  const bytes = Buffer.alloc(REPLY_HEADER_BYTES + 16 + 8 * nodes.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeInt32LE(NOTIFY_PRUNE, 4);
  bytes.writeUInt32LE(nodes.length, REPLY_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (const [index, node] of nodes.entries()) setUint64(view, REPLY_HEADER_BYTES + 16 + 8 * index, node);
  return bytes;
}
