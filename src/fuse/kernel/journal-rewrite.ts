/**
 * Writes a node journal anew from the live table, beside the old one, a slice at a time so that nobody waits for it.
 *
 * Events that happen meanwhile are appended here as well. Since each says how things are, it does not matter whether one
 * comes before or after the slice that has the same node.
 */
import { renameSync, rmSync } from 'node:fs';
import type { MountedVolume } from '../../fs/mounted-volume.ts';
import { isDirectory, type Node } from '../../fs/node.ts';
import type { RecordedState } from '../../fs/node-recorder.ts';
import { JournalFile } from './journal-file.ts';
import { keptLookups } from './kept-lookups.ts';
import { EventEncoder, maximalBytes } from './node-events.ts';

/** Those that a node's record names. */
export function volumesOf(node: Node): readonly MountedVolume[] {
  return isDirectory(node) ? [node.volume] : node.holders.volumes;
}

/** Nodes a slice: about a millisecond. */
const SLICE_NODES = 1000;

export class JournalRewrite {
  /** Of volumes with nodes. */
  readonly #referenced = new Set<number>();
  readonly #file: JournalFile;
  readonly #nodes: Iterator<Node>;
  readonly #encoder = new EventEncoder();

  /** Begins `path` with all of `volumes`. @throws what the file system says */
  constructor(path: string, state: RecordedState, volumes: Iterable<MountedVolume>) {
    this.#nodes = state.heldNodes();
    this.#file = JournalFile.create(path);
    this.#encoder.next(state.next);
    for (const volume of volumes) {
      this.#makeRoom(2048);
      this.#encoder.volume(volume);
      if (!volume.mounted) this.#encoder.volumeRemoved(volume);
    }
  }

  /** Events that happened meanwhile. @throws likewise */
  append(events: Uint8Array): void {
    this.#file.append(this.#encoder.take());
    this.#file.append(events);
  }

  /** Writes the next slice. True where it was the last. @throws likewise */
  step(): boolean {
    for (let count = 0; count < SLICE_NODES; count++) {
      const { done, value: node } = this.#nodes.next();
      if (done) {
        this.#file.append(this.#encoder.take());
        return true;
      }
      this.#makeRoom(maximalBytes(node));
      this.#encoder.node(node, keptLookups(node.lookups));
      this.refersTo(volumesOf(node));
    }
    return false;
  }

  /** Of a node that comes meanwhile: the slices may have passed the place in the table that it takes. */
  refersTo(volumes: readonly MountedVolume[]): void {
    for (const { serial } of volumes) this.#referenced.add(serial);
  }

  /** Whether any node's record needs the volume's. */
  isReferenced({ serial }: MountedVolume): boolean {
    return this.#referenced.has(serial);
  }

  /** Puts it in the place of the old one. @throws likewise */
  replace(path: string): JournalFile {
    renameSync(this.#file.path, path);
    return this.#file;
  }

  abandon(): void {
    this.#file.close();
    try {
      rmSync(this.#file.path, { force: true });
    } catch {
      // The next process tries again.
    }
  }

  #makeRoom(bytes: number): void {
    if (!this.#encoder.hasRoom(bytes)) this.#file.append(this.#encoder.take());
    this.#encoder.hasRoom(bytes);
  }
}
