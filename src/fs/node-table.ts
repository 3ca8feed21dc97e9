/**
 * Node numbers and what they mean.
 *
 * A directory has a node for each place it stands in (the kernel allows a directory one parent), a file or symlink one
 * for its content and owner, wherever and in however many volumes it stands: the kernel then keeps its pages once.
 *
 * A number is never used twice. A node lives while its look-ups are counted; `forget` gives its memory back. All a node
 * means is plain data, and the recorder is told of it, so that another process can take the table over.
 */
import type { ContentKey } from '../unixfs/content-key.ts';
import { type NodeId, type NodeKind, ROOT_NODE } from './file-system.ts';
import { contentInode, placeInode } from './inode-number.ts';
import type { MountedVolume, Owner } from './mounted-volume.ts';
import { NO_RECORDER, type NodeRecorder } from './node-recorder.ts';
import { VolumeSet } from './volume-set.ts';

/** How content is shown. One object for all raw files of an owner, so that a node stays small. */
export interface Appearance {
  readonly kind: NodeKind;
  readonly mode: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly owner: Owner;
}

/** A file or symlink. */
export interface ContentNode {
  readonly id: NodeId;
  readonly key: ContentKey;
  readonly sizeBytes: number;
  readonly appearance: Appearance;
  lookups: number;
  holders: VolumeSet;
  /** False while `sizeBytes` is only what a link claimed of a raw block. */
  sizeVerified: boolean;
}

export interface DirectoryNode {
  readonly id: NodeId;
  readonly key: ContentKey;
  readonly appearance: Appearance;
  readonly parent: NodeId;
  /** Its name there, a character a byte. */
  readonly name: string;
  readonly volume: MountedVolume;
  lookups: number;
  /** Until when a listing waits for its children; `DirectoryLister` says why it outlasts one call. */
  childrenDeadlineMs: number;
  /** 0 until somebody asks; see `NodeTable.inode`. */
  inode: number;
}

export type Node = ContentNode | DirectoryNode;

export function isDirectory(node: Node): node is DirectoryNode {
  return 'parent' in node;
}

export class NodeTable {
  readonly #nodes = new Map<NodeId, Node>();
  /** By owner, then content; a second node of one content and another claimed size has the size behind its key. */
  readonly #contents = new Map<Owner, Map<string, ContentNode>>();
  /** By parent and name. */
  readonly #places = new Map<string, DirectoryNode>();
  readonly #recorder: NodeRecorder;
  #nextId: NodeId = ROOT_NODE + 1;

  constructor(recorder: NodeRecorder = NO_RECORDER) {
    this.#recorder = recorder;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Every number from here on is new. */
  get nextId(): NodeId {
    return this.#nextId;
  }

  get(id: NodeId): Node | undefined {
    return this.#nodes.get(id);
  }

  /** The number by which `stat` shows it, which holds longer than the node does. */
  inode(node: Node): number {
    if (!isDirectory(node)) return contentInode(node.key);
    if (node.inode === 0) {
      const above = this.#nodes.get(node.parent);
      node.inode = placeInode(above ? this.inode(above) : ROOT_NODE, node.name);
    }
    return node.inode;
  }

  /** Goes on while nodes come and go: those that come are seen too. */
  nodes(): IterableIterator<Node> {
    return this.#nodes.values();
  }

  /** With `sizeBytes`, the node of that size alone: what a lying link claims must not stick to an honest one. */
  content(owner: Owner, key: ContentKey, sizeBytes?: number): ContentNode | undefined {
    const contents = this.#contents.get(owner);
    const node = contents?.get(key);
    if (!node || sizeBytes === undefined || node.sizeBytes === sizeBytes) return node;
    return contents?.get(sizedKey(key, sizeBytes));
  }

  addContent(
    key: ContentKey,
    sizeBytes: number,
    sizeVerified: boolean,
    appearance: Appearance,
    volume: MountedVolume,
  ): ContentNode {
    const holders = VolumeSet.empty.with(volume);
    const node: ContentNode = { id: this.#nextId++, key, sizeBytes, appearance, lookups: 0, holders, sizeVerified };
    this.#keepContent(node);
    return node;
  }

  directory(parent: NodeId, name: string): DirectoryNode | undefined {
    return this.#places.get(placeKey(parent, name));
  }

  /** Takes the place over where another node stood there (a volume removed and added again). */
  addDirectory(
    parent: NodeId,
    name: string,
    key: ContentKey,
    appearance: Appearance,
    volume: MountedVolume,
  ): DirectoryNode {
    const id = this.#nextId++;
    const node: DirectoryNode = {
      id,
      key,
      appearance,
      parent,
      name,
      volume,
      lookups: 0,
      childrenDeadlineMs: 0,
      inode: 0,
    };
    this.#keepDirectory(node);
    return node;
  }

  /** Counts one look-up more, of whoever is told of the node next. */
  count(node: Node): void {
    if (node.lookups++ === 0) this.#recorder.added(node);
    else this.#recorder.counted(node, node.lookups - 1);
  }

  /** One more volume holds the file, if it did not already. */
  hold(node: ContentNode, volume: MountedVolume): void {
    const holders = node.holders.with(volume);
    if (holders === node.holders) return;
    node.holders = holders;
    if (node.lookups > 0) this.#recorder.held(node, volume);
  }

  /** Takes `count` look-ups back. Unknown numbers are ignored. */
  forget(id: NodeId, count: number): void {
    const node = this.#nodes.get(id);
    if (!node || node.lookups === 0) return;
    const before = node.lookups;
    node.lookups = Math.max(0, before - count);
    if (node.lookups > 0) this.#recorder.counted(node, before);
    else {
      this.#recorder.ended(node);
      this.#drop(node);
    }
  }

  /** Ends a node that nobody holds; one that has ended already is ignored. */
  dropUnused(node: Node): void {
    if (node.lookups === 0) this.#drop(node);
  }

  /** Puts back a node that another process gave out; numbers go on behind the largest. Tells the recorder nothing. */
  restore(node: Node): void {
    this.reserve(node.id + 1);
    const same = this.#nodes.get(node.id);
    if (same) this.#drop(same);
    if (isDirectory(node)) this.#keepDirectory(node);
    else this.#keepContent(node);
  }

  /** Ends a node of another process, likewise. */
  restoreEnd(id: NodeId): void {
    const node = this.#nodes.get(id);
    if (node) this.#drop(node);
  }

  /** Numbers below `id` are not given out any more. */
  reserve(id: NodeId): void {
    this.#nextId = Math.max(this.#nextId, id);
  }

  #drop(node: Node): void {
    if (!this.#nodes.delete(node.id)) return;
    if (isDirectory(node)) {
      const place = placeKey(node.parent, node.name);
      if (this.#places.get(place) === node) this.#places.delete(place);
      return;
    }
    const { owner } = node.appearance;
    const contents = this.#contents.get(owner);
    if (!contents) return;
    if (contents.get(node.key) === node) contents.delete(node.key);
    else contents.delete(sizedKey(node.key, node.sizeBytes));
    if (contents.size === 0) this.#contents.delete(owner);
  }

  #keepContent(node: ContentNode): void {
    this.#nodes.set(node.id, node);
    const { owner } = node.appearance;
    let contents = this.#contents.get(owner);
    if (!contents) {
      contents = new Map();
      this.#contents.set(owner, contents);
    }
    contents.set(contents.has(node.key) ? sizedKey(node.key, node.sizeBytes) : node.key, node);
  }

  #keepDirectory(node: DirectoryNode): void {
    this.#nodes.set(node.id, node);
    const place = placeKey(node.parent, node.name);
    const there = this.#places.get(place);
    // The younger one stands there, in whichever order they are restored.
    if (!there || there.id < node.id) this.#places.set(place, node);
  }
}

function placeKey(parent: NodeId, name: string): string {
  return `${parent}/${name}`;
}

function sizedKey(key: ContentKey, sizeBytes: number): string {
  return `${key}#${sizeBytes}`;
}
