/** What a node is: a directory at its place, or content wherever it stands. `NodeTable` has them. */
import type { ContentKey } from '../unixfs/content-key.ts';
import type { NodeId, NodeKind } from './file-system.ts';
import type { MountedVolume, Owner } from './mounted-volume.ts';
import type { VolumeSet } from './volume-set.ts';

/** How a node is shown. */
export interface Appearance {
  readonly kind: NodeKind;
  readonly mode: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** That of all volumes that hold it. */
  readonly owner: Owner;
}

/** A file or symlink as the table had it when it was asked for; the table has more of them than objects. */
export interface ContentNode {
  readonly id: NodeId;
  readonly key: ContentKey;
  readonly sizeBytes: number;
  readonly appearance: Appearance;
  /** These two are brought up to date by whichever call of the table is given the node. Never no volume. */
  lookups: number;
  holders: VolumeSet;
  /** False while `sizeBytes` is only what a link claimed of a raw block. */
  readonly sizeVerified: boolean;
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
