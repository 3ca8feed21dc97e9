/**
 * What a node number means, told to whoever keeps it beyond this process.
 *
 * The kernel holds node numbers for as long as its connection lives, which is longer than the process that gave them out.
 * So the node table tells a `NodeRecorder` of every change, in order and in the turn in which it happens; what it told is
 * kept before an answer that depends on it leaves (that is for the transport to see to), and is given to the next
 * process as `NodeEvent`s, which `restoreNodes` applies.
 *
 * Events say how things are, never by how much they changed: one that comes twice, or late, does no harm, and any prefix
 * of them is a state that the table once had.
 */
import type { CID } from 'multiformats/cid';
import type { NodeId, NodeKind } from './file-system.ts';
import type { MountedVolume } from './mounted-volume.ts';
import type { ContentNode, Node } from './node.ts';

export interface NodeRecorder {
  /** Told before any node of the volume's. Told again where a volume that was removed is there again. */
  volumeAdded(volume: MountedVolume): void;
  /** Its nodes go on. */
  volumeRemoved(volume: MountedVolume): void;
  /** Somebody is about to be told of the node for the first time: the number must be kept before. */
  added(node: Node): void;
  /** `node.lookups` was `before`. Where it grew, that must be kept before the answer; where it fell, there is no hurry. */
  counted(node: Node, before: number): void;
  /** One more volume holds the file. */
  held(node: ContentNode, volume: MountedVolume): void;
  /** Nobody holds the node any longer; its number never comes again. */
  ended(node: Node): void;
}

/** All there is to record, for a recorder that begins anew. */
export interface RecordedState {
  /** Nodes that somebody holds; goes on while nodes come and go. */
  heldNodes(): IterableIterator<Node>;
  /** Numbers below these were given out. */
  readonly next: NextNumbers;
}

export interface NextNumbers {
  readonly node: NodeId;
  readonly serial: number;
}

interface VolumeEvent {
  readonly type: 'volume';
  readonly serial: number;
  readonly name: string;
  readonly root: CID;
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly dirMode: number;
  readonly timeoutMs: number;
}

/** Strings of keys and names hold a byte a character. The owner is the first volume's. */
export interface NodeAddedEvent {
  readonly type: 'node';
  readonly id: NodeId;
  readonly lookups: number;
  readonly key: string;
  readonly kind: NodeKind;
  readonly mode: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Serials of the volumes that hold it; one for a directory. */
  readonly volumes: readonly number[];
  /** Of a file or symlink. */
  readonly content?: { readonly sizeBytes: number; readonly sizeVerified: boolean };
  /** Of a directory. */
  readonly place?: { readonly parent: NodeId; readonly name: string };
}

export type NodeEvent =
  | VolumeEvent
  | { readonly type: 'volume-removed'; readonly serial: number }
  | NodeAddedEvent
  | { readonly type: 'count'; readonly id: NodeId; readonly lookups: number }
  | { readonly type: 'held'; readonly id: NodeId; readonly serial: number }
  | { readonly type: 'ended'; readonly id: NodeId }
  | { readonly type: 'next'; readonly next: NextNumbers };

/** For whoever has no other process to think of. */
export const NO_RECORDER: NodeRecorder = {
  volumeAdded: () => undefined,
  volumeRemoved: () => undefined,
  added: () => undefined,
  counted: () => undefined,
  held: () => undefined,
  ended: () => undefined,
};
