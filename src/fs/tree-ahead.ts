/**
 * Runs ahead of whoever walks a tree, so that a walk costs a round trip for each level and not for each directory.
 *
 * A directory that is listed after its parent was is taken for a walk. From there on the blocks of the levels below are
 * wanted as they become known, breadth first, as `metadata`. An allowance bounds how far that goes beyond the walker: each
 * directory that it lists renews it, so a walk that ends leaves no more than that on its way. What is here already is
 * passed over: the walker will get there without waiting.
 */
import { LRUCache } from 'lru-cache';
import type { WantOptions } from '../blocks/block-reader.ts';
import type { ContentKey } from '../unixfs/content-key.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import type { NodeId } from './file-system.ts';
import type { MountedVolume } from './mounted-volume.ts';
import { type DirectoryNode, isDirectory, type NodeTable } from './node-table.ts';

/** "A few thousand blocks ahead": enough for any link, little to have fetched for nothing. */
const ALLOWANCE = 2048;
/** Known but not wanted yet; what is beyond is found when the walker gets there. */
const MAX_PENDING = 16_384;
/** Directories remembered as listed, and as looked into, for each volume. */
const DIRECTORIES_KEPT = 65_536;

interface Walk {
  readonly volume: MountedVolume;
  readonly want: WantOptions;
  /** Oldest first, from `next` on: that is what makes it breadth first. */
  pending: ContentKey[];
  next: number;
  allowance: number;
  readonly lookedInto: LRUCache<ContentKey, true>;
}

export class TreeAhead {
  readonly #unixfs: UnixfsReader;
  readonly #nodes: NodeTable;
  readonly #listed = new LRUCache<NodeId, true>({ max: DIRECTORIES_KEPT });
  readonly #walks = new WeakMap<MountedVolume, Walk>();

  constructor(unixfs: UnixfsReader, nodes: NodeTable) {
    this.#unixfs = unixfs;
    this.#nodes = nodes;
  }

  /** To be told of each listing that begins, once the directory itself is decoded. Waits for nothing. */
  onList(directory: DirectoryNode): void {
    this.#listed.set(directory.id, true);
    const parent = this.#nodes.get(directory.parent);
    if (!parent || !isDirectory(parent) || !this.#listed.has(parent.id)) return;
    const walk = this.#walk(directory.volume);
    walk.allowance = ALLOWANCE;
    this.#lookInto(walk, parent.key);
    this.#lookInto(walk, directory.key);
    this.#run(walk);
  }

  /** Adds what is below a decoded directory (or shard of one) and is not here. */
  #lookInto(walk: Walk, key: ContentKey): void {
    if (walk.lookedInto.has(key)) return;
    walk.lookedInto.set(key, true);
    const entry = this.#unixfs.known(key);
    if (entry?.kind !== 'directory' && entry?.kind !== 'shard') return;
    const links = entry.kind === 'directory' ? entry.entries : entry.shard.links;
    for (let link = 0; link < links.count; link++) {
      if (walk.pending.length - walk.next >= MAX_PENDING) return;
      if (links.isRaw(link)) continue;
      const child = links.key(link);
      if (!this.#unixfs.has(child)) walk.pending.push(child);
    }
  }

  #run(walk: Walk): void {
    while (walk.allowance > 0 && walk.next < walk.pending.length && walk.volume.mounted) {
      const key = walk.pending[walk.next++] as ContentKey;
      walk.allowance--;
      this.#fetch(walk, key);
    }
    if (walk.next > MAX_PENDING || walk.next === walk.pending.length) {
      walk.pending = walk.pending.slice(walk.next);
      walk.next = 0;
    }
  }

  async #fetch(walk: Walk, key: ContentKey): Promise<void> {
    try {
      await this.#unixfs.entry(key, walk.want);
    } catch {
      // The walker will be told, should it get there.
      return;
    }
    this.#lookInto(walk, key);
    this.#run(walk);
  }

  #walk(volume: MountedVolume): Walk {
    let walk = this.#walks.get(volume);
    if (!walk) {
      const want: WantOptions = {
        priority: 'metadata',
        timeoutMs: volume.spec.timeoutMs,
        account: volume.account,
      };
      const lookedInto = new LRUCache<ContentKey, true>({ max: DIRECTORIES_KEPT });
      walk = { volume, want, pending: [], next: 0, allowance: 0, lookedInto };
      this.#walks.set(volume, walk);
    }
    return walk;
  }
}
