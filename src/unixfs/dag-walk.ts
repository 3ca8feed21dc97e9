/**
 * All blocks of a DAG, depth first, in the order of the links, each once: what a CAR of it holds.
 *
 * Links are those of dag-pb, which files and directories are made of; a block of any other codec is a leaf. A CID that holds
 * its block itself (identity) is none of the blocks, and its links are followed all the same.
 *
 * What always holds:
 * - Memory is bounded, whatever the DAG: what was met is fingerprints of 16 bytes (see `FingerprintSet` for what that means
 *   in content made to deceive), and of the nodes on the way down to the present one the links of the nearest are held, up
 *   to HELD_BYTES; farther up, a node is read again when its turn comes. That costs no more than was read in between.
 * - A node is left before its last link is followed: a chain of any length takes no more than its latest node.
 * - Other work has its turn after TURN_MS, and a walk whose caller left ends there.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import { blockKey } from '../blocks/block.ts';
import { FingerprintSet } from '../blocks/fingerprint-set.ts';
import { identityBytes } from '../blocks/verify.ts';
import { CODEC_DAG_PB } from './content-key.ts';
import { decodeDagNode } from './dag-node.ts';
import type { LinkTable } from './link-table.ts';

export interface DagVisitor {
  /** The bytes of a node, valid until the next call. Throws where it cannot be had. */
  read(cid: CID): MaybePromise<Uint8Array>;
  /** A block that was not met before; with its bytes where the walk has just read it. */
  found(cid: CID, bytes: Uint8Array | undefined): MaybePromise<void>;
}

/** Eight directories of the largest block that there is, or thousands of usual ones. */
const HELD_BYTES = 16 * 1024 * 1024;
/** Nodes that are open at once: a path that Linux takes has 2,048 names at the most, each with a few shards. */
const MAX_DEPTH = 20_000;
const TURN_MS = 1;

/** Marks: the bytes were met, by whatever codec; and as a node, whose links were followed. */
const MET = 1;
const FOLLOWED = 2;

interface OpenNode {
  readonly cid: CID;
  /** Undefined where it is to be read again. */
  links: LinkTable | undefined;
  next: number;
}

/** Resolves once all was found. @throws what `visitor` does, DAG_INVALID, BLOCK_CORRUPT, ABORTED */
export function walkDag(root: CID, visitor: DagVisitor, signal: AbortSignal): Promise<void> {
  return new DagWalk(visitor, signal).run(root);
}

class DagWalk {
  readonly #visitor: DagVisitor;
  readonly #signal: AbortSignal;
  readonly #met = new FingerprintSet();
  /** On the way from the root to the present node. */
  readonly #open: OpenNode[] = [];
  /** From here on they have their links. */
  #firstHeld = 0;
  #heldBytes = 0;
  #turnMs = performance.now();

  constructor(visitor: DagVisitor, signal: AbortSignal) {
    this.#visitor = visitor;
    this.#signal = signal;
  }

  async run(root: CID): Promise<void> {
    await this.#enter(root);
    for (let node = this.#open.at(-1); node; node = this.#open.at(-1)) {
      const links = node.links ?? (await this.#readAgain(node));
      if (node.next === links.count) {
        this.#leave(links);
        continue;
      }
      const child = links.cid(node.next++);
      if (node.next === links.count) this.#leave(links);
      await this.#enter(child);
      if (performance.now() - this.#turnMs > TURN_MS) {
        await nextTurn();
        this.#turnMs = performance.now();
      }
      if (this.#signal.aborted) throw new CodedError('ABORTED', 'the caller went away', { cause: this.#signal.reason });
    }
  }

  async #enter(cid: CID): Promise<void> {
    const isNode = cid.code === CODEC_DAG_PB;
    const inline = identityBytes(cid);
    if (inline) {
      if (isNode) this.#push(cid, inline);
      return;
    }
    const key = blockKey(cid);
    if (isNode) {
      if (!this.#met.add(key, FOLLOWED)) return;
      const bytes = await this.#visitor.read(cid);
      this.#push(cid, bytes);
      if (this.#met.add(key, MET)) await this.#visitor.found(cid, bytes);
    } else if (this.#met.add(key, MET)) await this.#visitor.found(cid, undefined);
  }

  #push(cid: CID, bytes: Uint8Array): void {
    const links = linksOf(cid, bytes);
    if (links.count === 0) return;
    if (this.#open.length === MAX_DEPTH) {
      throw new CodedError('DAG_INVALID', `block ${cid} lies more than ${MAX_DEPTH} blocks deep`);
    }
    this.#open.push({ cid, links, next: 0 });
    this.#hold(links);
  }

  async #readAgain(node: OpenNode): Promise<LinkTable> {
    const bytes = identityBytes(node.cid) ?? (await this.#visitor.read(node.cid));
    const links = linksOf(node.cid, bytes);
    node.links = links;
    this.#firstHeld = this.#open.length - 1;
    this.#hold(links);
    return links;
  }

  /** The latest node's, in the place of those farther up. */
  #hold(links: LinkTable): void {
    this.#heldBytes += links.memoryBytes;
    while (this.#heldBytes > HELD_BYTES && this.#firstHeld < this.#open.length - 1) {
      const farthest = this.#open[this.#firstHeld++] as OpenNode;
      this.#heldBytes -= farthest.links?.memoryBytes ?? 0;
      farthest.links = undefined;
    }
  }

  #leave(links: LinkTable): void {
    this.#heldBytes -= links.memoryBytes;
    this.#open.pop();
    this.#firstHeld = Math.min(this.#firstHeld, this.#open.length);
  }
}

/** In memory of their own, which they read from; a leaf, which may be large, needs none. */
function linksOf(cid: CID, bytes: Uint8Array): LinkTable {
  try {
    const { links } = decodeDagNode(bytes);
    return links.count === 0 ? links : decodeDagNode(new Uint8Array(bytes)).links;
  } catch (cause) {
    throw new CodedError('DAG_INVALID', `block ${cid} cannot be followed`, { cause });
  }
}
