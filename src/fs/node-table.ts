/**
 * Node numbers and what they mean.
 *
 * A directory has a node for each place it stands in (the kernel allows a directory one parent), a file or symlink one
 * for its content and owner, wherever and in however many volumes it stands: the kernel then keeps its pages once.
 *
 * A number is never used twice. A node lives while its look-ups are counted; `forget` gives its memory back. All a node
 * means is plain data (`NodeRecord`), so that another process can take the table over.
 */
import type { ContentKey } from '../unixfs/content-key.ts';
import { type NodeId, type NodeKind, ROOT_NODE } from './file-system.ts';
import type { MountedVolume, Owner } from './mounted-volume.ts';
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
}

export type Node = ContentNode | DirectoryNode;

/** A node as plain data. Strings of keys and names hold a byte a character. */
export interface NodeRecord {
  readonly id: NodeId;
  readonly lookups: number;
  readonly key: string;
  readonly appearance: Appearance;
  readonly content?: {
    readonly sizeBytes: number;
    readonly sizeVerified: boolean;
    readonly volumes: readonly string[];
  };
  readonly place?: { readonly parent: NodeId; readonly name: string; readonly volume: string };
}

export function isDirectory(node: Node): node is DirectoryNode {
  return 'parent' in node;
}

export class NodeTable {
  readonly #nodes = new Map<NodeId, Node>();
  /** By owner, then content; a second node of one content and another claimed size has the size behind its key. */
  readonly #contents = new Map<Owner, Map<string, ContentNode>>();
  /** By parent and name. */
  readonly #places = new Map<string, DirectoryNode>();
  #nextId: NodeId = ROOT_NODE + 1;

  get size(): number {
    return this.#nodes.size;
  }

  get(id: NodeId): Node | undefined {
    return this.#nodes.get(id);
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
    const node: DirectoryNode = { id, key, appearance, parent, name, volume, lookups: 0, childrenDeadlineMs: 0 };
    this.#keepDirectory(node);
    return node;
  }

  /** Takes `count` look-ups back. Unknown numbers are ignored. */
  forget(id: NodeId, count: number): void {
    const node = this.#nodes.get(id);
    if (!node) return;
    node.lookups -= count;
    this.dropUnused(node);
  }

  /** Ends a node that nobody holds; one that has ended already is ignored. */
  dropUnused(node: Node): void {
    if (node.lookups > 0 || !this.#nodes.delete(node.id)) return;
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

  /** Every node, parents' numbers before their children's. */
  *export(): Generator<NodeRecord> {
    for (const node of this.#nodes.values()) {
      const { id, lookups, key, appearance } = node;
      if (isDirectory(node)) {
        const { parent, name, volume } = node;
        yield { id, lookups, key, appearance, place: { parent, name, volume: volume.spec.name } };
      } else {
        const { sizeBytes, sizeVerified, holders } = node;
        const volumes = holders.volumes.filter(({ mounted }) => mounted).map(({ spec }) => spec.name);
        yield { id, lookups, key, appearance, content: { sizeBytes, sizeVerified, volumes } };
      }
    }
  }

  /**
   * Takes over what another process exported. `owner` interns an owner, `volume` finds a mounted one; a node whose
   * volumes are all gone is left out, and its number is then as if forgotten. Numbers go on behind the largest.
   */
  restore(
    records: Iterable<NodeRecord>,
    owner: (owner: Owner) => Owner,
    volume: (name: string) => MountedVolume | undefined,
  ): void {
    for (const { id, lookups, key, appearance, content, place } of records) {
      this.#nextId = Math.max(this.#nextId, id + 1);
      const base = {
        id,
        lookups,
        key: key as ContentKey,
        appearance: { ...appearance, owner: owner(appearance.owner) },
      };
      if (content) {
        const volumes = content.volumes.map(volume).filter((found) => found !== undefined);
        if (volumes.length === 0) continue;
        const holders = volumes.reduce((set, held) => set.with(held), VolumeSet.empty);
        const { sizeBytes, sizeVerified } = content;
        this.#keepContent({ ...base, sizeBytes, sizeVerified, holders });
      } else if (place) {
        const held = volume(place.volume);
        if (!held) continue;
        this.#keepDirectory({ ...base, parent: place.parent, name: place.name, volume: held, childrenDeadlineMs: 0 });
      }
    }
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
    this.#places.set(placeKey(node.parent, node.name), node);
  }
}

function placeKey(parent: NodeId, name: string): string {
  return `${parent}/${name}`;
}

function sizedKey(key: ContentKey, sizeBytes: number): string {
  return `${key}#${sizeBytes}`;
}
