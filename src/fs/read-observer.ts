/**
 * Who is told of every read that reaches us (what the kernel's page cache answers, nobody sees): boot profiles and
 * readahead. Called in the turn of the read, before its blocks are asked for; must not throw and must not wait.
 */
import type { FileIndex } from '../unixfs/file-index.ts';
import type { NodeId } from './file-system.ts';
import type { MountedVolume } from './mounted-volume.ts';

export interface ObservedRead {
  /** Those that hold the file and are mounted: with one mount for all, a read names no volume. */
  readonly volumes: readonly MountedVolume[];
  readonly node: NodeId;
  /** What is read; `file.key` names its content, `file.locate` finds the blocks of what comes next. */
  readonly file: FileIndex;
  /** In bytes, within the file. */
  readonly offset: number;
  readonly length: number;
}

export interface ReadObserver {
  onRead(read: ObservedRead): void;
}
