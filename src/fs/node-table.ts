/**
 * Node numbers and what they mean.
 *
 * A directory has a node for each place it stands in (the kernel allows a directory one parent), a file or symlink one
 * for its content and owner, wherever and in however many volumes it stands: the kernel then keeps its pages once.
 *
 * A number is never used twice. A node lives while its look-ups are counted; `forget` gives its memory back. All a node
 * means is plain data, and the recorder is told of it, so that another process can take the table over.
 *
 * A directory is one object for as long as it lives; content is packed (`ContentNodes`), and an object of it says how things
 * were when it was asked for.
 */
import { CodedError } from '../base/errors.ts';
import type { ContentKey } from '../unixfs/content-key.ts';
import { ContentNodes } from './content-nodes.ts';
import { type NodeId, ROOT_NODE } from './file-system.ts';
import { ForgetRound } from './forget-round.ts';
import { contentInode, placeInode } from './inode-number.ts';
import type { MountedVolume, Owner } from './mounted-volume.ts';
import { type Appearance, type ContentNode, type DirectoryNode, isDirectory, type Node } from './node.ts';
import { NodeBound } from './node-bound.ts';
import { NO_RECORDER, type NodeRecorder } from './node-recorder.ts';
import { VolumeSet } from './volume-set.ts';

const NONE: readonly NodeId[] = [];

export class NodeTable {
  readonly #contents = new ContentNodes();
  readonly #directories = new Map<NodeId, DirectoryNode>();
  /** By parent and name. */
  readonly #places = new Map<string, DirectoryNode>();
  readonly #recorder: NodeRecorder;
  readonly #bound: NodeBound;
  readonly #round: ForgetRound;
  #nextId: NodeId = ROOT_NODE + 1;

  constructor(recorder: NodeRecorder = NO_RECORDER, bound = new NodeBound()) {
    this.#recorder = recorder;
    this.#bound = bound;
    const directories = this.#directories;
    this.#round = new ForgetRound(
      {
        get size() {
          return directories.size;
        },
        ids: () => directories.keys(),
      },
      this.#contents,
    );
  }

  get size(): number {
    return this.#directories.size + this.#contents.size;
  }

  /** Every number from here on is new. */
  get nextId(): NodeId {
    return this.#nextId;
  }

  /** To be asked before one is added. @throws TOO_MANY_NODES */
  checkRoom(): void {
    this.#bound.check(this.#contents);
  }

  /** About `count` that the kernel is to forget if it does not use them; none where there is room enough. */
  surplus(count: number): readonly NodeId[] {
    if (this.#bound.isPressed(this.#contents)) return this.#round.next(count);
    this.#round.end();
    return NONE;
  }

  get(id: NodeId): Node | undefined {
    return this.#directories.get(id) ?? this.#contents.get(id);
  }

  /** The number by which `stat` shows it, which holds longer than the node does. */
  inode(node: Node): number {
    if (!isDirectory(node)) return contentInode(node.key);
    if (node.inode === 0) {
      const above = this.#directories.get(node.parent);
      node.inode = placeInode(above ? this.inode(above) : ROOT_NODE, node.name);
    }
    return node.inode;
  }

  /** Goes on while nodes come and go: those may be seen or not. */
  *nodes(): Generator<Node, undefined> {
    yield* this.#directories.values();
    yield* this.#contents.nodes();
  }

  /** Of a raw block the node of that size alone: what a lying link claims must not stick to an honest one. */
  content(owner: Owner, key: ContentKey, sizeBytes?: number): ContentNode | undefined {
    return this.#contents.find(owner, key, sizeBytes);
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
    this.#contents.set(node);
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

  /** Counts one look-up more, of whoever is told of the node next. @throws INTERNAL where it has ended */
  count(node: Node): void {
    if (!this.#refresh(node)) throw new CodedError('INTERNAL', `node ${node.id} has ended`);
    const before = node.lookups;
    this.#setLookups(node, before + 1);
    if (before === 0) this.#recorder.added(node);
    else this.#recorder.counted(node, before);
  }

  /** One more volume holds the file, if it did not already. */
  hold(node: ContentNode, volume: MountedVolume): void {
    if (!this.#refresh(node)) return;
    const holders = node.holders.with(volume);
    if (holders === node.holders) return;
    this.#contents.setHolders(node, holders);
    if (node.lookups > 0) this.#recorder.held(node, volume);
  }

  /** A raw block was read, and measures what its link claimed. */
  sizeVerified({ id }: ContentNode): void {
    this.#contents.setSizeVerified(id);
  }

  /** Takes `count` look-ups back. Unknown numbers are ignored. */
  forget(id: NodeId, count: number): void {
    const node = this.get(id);
    if (!node || node.lookups === 0) return;
    const before = node.lookups;
    this.#setLookups(node, Math.max(0, before - count));
    if (node.lookups > 0) this.#recorder.counted(node, before);
    else {
      this.#recorder.ended(node);
      this.#drop(node);
    }
  }

  /** Ends a node that nobody holds; one that has ended already is ignored. */
  dropUnused(node: Node): void {
    if (this.#refresh(node) && node.lookups === 0) this.#drop(node);
  }

  /** Puts back a node that another process gave out; numbers go on behind the largest. Tells the recorder nothing. */
  restore(node: Node): void {
    this.reserve(node.id + 1);
    this.restoreEnd(node.id);
    if (isDirectory(node)) this.#keepDirectory(node);
    else this.#contents.set(node);
  }

  /** Its look-ups, as another process counted them, likewise. */
  restoreCount(id: NodeId, lookups: number): void {
    const node = this.get(id);
    if (node) this.#setLookups(node, lookups);
  }

  /** One more volume that held it, likewise. */
  restoreHolder(id: NodeId, volume: MountedVolume): void {
    const node = this.#contents.get(id);
    if (node) this.#contents.setHolders(node, VolumeSet.restored([...node.holders.volumes, volume]));
  }

  /** Ends a node of another process, likewise. */
  restoreEnd(id: NodeId): void {
    const node = this.get(id);
    if (node) this.#drop(node);
  }

  /** Numbers below `id` are not given out any more. */
  reserve(id: NodeId): void {
    this.#nextId = Math.max(this.#nextId, id);
  }

  #refresh(node: Node): boolean {
    return isDirectory(node) ? this.#directories.get(node.id) === node : this.#contents.refresh(node);
  }

  #setLookups(node: Node, lookups: number): void {
    if (isDirectory(node)) node.lookups = lookups;
    else this.#contents.setLookups(node, lookups);
  }

  #drop(node: Node): void {
    if (!isDirectory(node)) {
      this.#contents.delete(node.id);
      return;
    }
    if (this.#directories.delete(node.id)) this.#bound.ended(node);
    const place = placeKey(node.parent, node.name);
    if (this.#places.get(place) === node) this.#places.delete(place);
  }

  #keepDirectory(node: DirectoryNode): void {
    this.#directories.set(node.id, node);
    this.#bound.added(node);
    const place = placeKey(node.parent, node.name);
    const there = this.#places.get(place);
    // The younger one stands there, in whichever order they are restored.
    if (!there || there.id < node.id) this.#places.set(place, node);
  }
}

function placeKey(parent: NodeId, name: string): string {
  return `${parent}/${name}`;
}
