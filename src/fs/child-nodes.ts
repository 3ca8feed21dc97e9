/**
 * From a link to the node it stands for.
 *
 * A raw block needs no fetch: it is a file of the link's size, until reading shows otherwise. Of anything else the root
 * block says what it is; met again, the node answers for itself.
 */
import { hasCode } from '../base/errors.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import { MAX_BLOCK_BYTES } from '../blocks/block.ts';
import type { WantOptions } from '../blocks/block-reader.ts';
import { CODEC_RAW, type ContentKey, codecOf } from '../unixfs/content-key.ts';
import { NO_METADATA, type UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import { type NodeId, type NodeKind, ROOT_NODE } from './file-system.ts';
import type { MountedVolume, Owner } from './mounted-volume.ts';
import type { Appearance, Node } from './node.ts';
import type { NodeTable } from './node-table.ts';

/** Where a child stands: a name in a directory of a volume. */
export interface Place {
  readonly parent: NodeId;
  readonly name: Uint8Array;
  readonly volume: MountedVolume;
}

/** Linux shows symlinks so, and follows them whatever their mode. */
const SYMLINK_MODE = 0o777;

export class ChildNodes {
  readonly #unixfs: UnixfsReader;
  readonly #nodes: NodeTable;
  readonly #rawAppearances = new WeakMap<Owner, Appearance>();

  constructor(unixfs: UnixfsReader, nodes: NodeTable) {
    this.#unixfs = unixfs;
    this.#nodes = nodes;
  }

  /**
   * The node of the child `key` at `place`, made where there is none, with this look-up counted in the same turn, so that
   * nobody drops it in between. `claimedBytes` is its link's size. @throws DAG_INVALID, TOO_MANY_NODES, and what `blocks/`
   * throws.
   */
  lookup(place: Place, key: ContentKey, claimedBytes: number | undefined, want: WantOptions): MaybePromise<Node> {
    const known = this.known(place, key, claimedBytes);
    if (known) {
      this.#unixfs.needed(key, want);
      return this.#counted(known);
    }
    return chain(this.#unixfs.entry(key, want), (entry) => this.#counted(this.adopt(place, key, entry)));
  }

  /** The same without reading a block, nor counting: undefined where one would have to be read. @throws TOO_MANY_NODES */
  known(place: Place, key: ContentKey, claimedBytes: number | undefined): Node | undefined {
    const { volume } = place;
    if (codecOf(key) === CODEC_RAW) {
      // Without a believable size the block itself has to say it.
      if (claimedBytes !== undefined && claimedBytes <= MAX_BLOCK_BYTES)
        return this.#raw(place, key, claimedBytes, false);
    } else {
      const content = this.#nodes.content(volume.owner, key);
      if (content) {
        this.#nodes.hold(content, volume);
        return content;
      }
    }
    const entry = this.#unixfs.known(key);
    if (entry) return this.adopt(place, key, entry);
    const directory = this.#nodes.directory(place.parent, nameOf(place));
    return directory?.key === key && directory.volume === volume ? directory : undefined;
  }

  /** As `known`, for a listing, which goes on without: undefined also where there is no room for a node more. */
  listed(place: Place, key: ContentKey, claimedBytes: number | undefined): Node | undefined {
    try {
      return this.known(place, key, claimedBytes);
    } catch (error) {
      if (hasCode(error, 'TOO_MANY_NODES')) return undefined;
      throw error;
    }
  }

  /** The node of a child whose `entry` is at hand. Not counted: what nobody takes, `NodeTable.dropUnused` ends. @throws TOO_MANY_NODES */
  adopt(place: Place, key: ContentKey, entry: UnixfsEntry): Node {
    const { volume } = place;
    switch (entry.kind) {
      case 'directory':
      case 'shard':
        return this.#directory(place, key, entry);
      case 'symlink':
        return this.#content(place, key, entry.target.length, appearanceOf(entry, volume.owner, 'symlink'));
      default:
        if (codecOf(key) === CODEC_RAW) return this.#raw(place, key, entry.file.sizeBytes, true);
        return this.#content(place, key, entry.file.sizeBytes, appearanceOf(entry, volume.owner, 'file'));
    }
  }

  #directory(place: Place, key: ContentKey, entry: UnixfsEntry): Node {
    const { parent, volume } = place;
    const name = nameOf(place);
    const node = this.#nodes.directory(parent, name);
    // In the root a name may come back with other content.
    if (node && node.key === key && node.volume === volume) return node;
    this.#checkRoom(place);
    return this.#nodes.addDirectory(parent, name, key, appearanceOf(entry, volume.owner, 'directory'), volume);
  }

  #raw(place: Place, key: ContentKey, sizeBytes: number, sizeVerified: boolean): Node {
    const { owner } = place.volume;
    let appearance = this.#rawAppearances.get(owner);
    if (!appearance) {
      appearance = { kind: 'file', mode: owner.fileMode, owner, ...NO_MTIME };
      this.#rawAppearances.set(owner, appearance);
    }
    return this.#content(place, key, sizeBytes, appearance, sizeVerified);
  }

  #content(place: Place, key: ContentKey, sizeBytes: number, appearance: Appearance, sizeVerified = true): Node {
    const { volume } = place;
    const node = this.#nodes.content(volume.owner, key, sizeBytes);
    if (node) {
      this.#nodes.hold(node, volume);
      return node;
    }
    this.#checkRoom(place);
    return this.#nodes.addContent(key, sizeBytes, sizeVerified, appearance, volume);
  }

  /** Volumes are as many as somebody mounts: whatever the others hold, there is always room for one. */
  #checkRoom({ parent }: Place): void {
    if (parent !== ROOT_NODE) this.#nodes.checkRoom();
  }

  #counted(node: Node): Node {
    this.#nodes.count(node);
    return node;
  }
}

/** A character a byte. */
function nameOf({ name }: Place): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1');
}

const NO_MTIME = { mtimeSeconds: NO_METADATA.mtimeSeconds, mtimeNanoseconds: NO_METADATA.mtimeNanoseconds };

function appearanceOf({ metadata }: UnixfsEntry, owner: Owner, kind: NodeKind): Appearance {
  const { mode, mtimeSeconds, mtimeNanoseconds } = metadata;
  const fallback = kind === 'directory' ? owner.dirMode : owner.fileMode;
  const shown = kind === 'symlink' ? SYMLINK_MODE : (mode ?? fallback);
  return { kind, mode: shown, mtimeSeconds, mtimeNanoseconds, owner };
}
