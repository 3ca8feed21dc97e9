/**
 * How many nodes may be held: a tree may have more places than any memory. Twenty directories, each with two names for the
 * next, are a million; one `find` has the kernel hold them all, for as long as it has memory for them itself.
 *
 * Directories are objects in V8's heap, and so are keys too odd to be packed (`PackedKeys`): of these the bytes are
 * bounded, by an estimate that errs upward. What is packed lies outside the heap, and is bounded by number. Both hold for
 * the next process too, which must find all of it in its own memory before it answers.
 *
 * When the bound is near the kernel is to be asked to forget what nobody uses (`ForgetRound`). At the bound nothing that is
 * known is lost: what would need a node more is refused until some are forgotten.
 */
import { CodedError } from '../base/errors.ts';
import type { DirectoryNode } from './node.ts';

/** Of the bound: from where on the kernel is asked to forget, and until when. */
const PRESSED_SHARE = 0.8;
const RELIEVED_SHARE = 0.6;

export interface NodeLimits {
  /** Of V8's heap. */
  readonly heapBytes: number;
  /** Files and symlinks. */
  readonly contents: number;
}

/** What else stands in the balance. */
interface Contents {
  readonly size: number;
  /** Of V8's heap. */
  readonly heapBytes: number;
}

/** A quarter of the heap that the daemon is given (`DAEMON_MEMORY_FLAGS`): 1.2 million directories with short names. */
const MAX_HEAP_BYTES = 512 * 1024 * 1024;
/**
 * 600 to 730 MB, beside which the kernel has ten times as much for as many. With the directories they are taken over in 20 s of a
 * processor's time, of the 120 s that a daemon on its way up may take.
 */
const MAX_CONTENTS = 8 * 1024 * 1024;

const NODE_LIMITS: NodeLimits = { heapBytes: MAX_HEAP_BYTES, contents: MAX_CONTENTS };

/** A directory, but for its key and its name: the object, its appearance, its places in two maps. Measured: 360. */
const DIRECTORY_BYTES = 384;

/** Shared: it is thrown for each entry of a listing, and a stack trace costs more than the entry. */
const NO_ROOM = new CodedError(
  'TOO_MANY_NODES',
  'the kernel holds as many files and directories as there is memory for: end what walks over them all, or have the ' +
    'kernel forget them (echo 2 > /proc/sys/vm/drop_caches)',
);

export class NodeBound {
  readonly #limits: NodeLimits;
  #directoryBytes = 0;
  #pressed = false;

  constructor(limits: NodeLimits = NODE_LIMITS) {
    this.#limits = limits;
  }

  added(directory: DirectoryNode): void {
    this.#directoryBytes += heapBytes(directory);
  }

  ended(directory: DirectoryNode): void {
    this.#directoryBytes -= heapBytes(directory);
  }

  /** True from when the bound is near until there is room again. */
  isPressed(contents: Contents): boolean {
    this.#pressed = this.#reaches(contents, this.#pressed ? RELIEVED_SHARE : PRESSED_SHARE);
    return this.#pressed;
  }

  /** @throws TOO_MANY_NODES where there is no room for one more, beside `contents`. */
  check(contents: Contents): void {
    if (this.#reaches(contents, 1)) throw NO_ROOM;
  }

  #reaches(contents: Contents, share: number): boolean {
    const heapBytes = this.#directoryBytes + contents.heapBytes;
    return heapBytes >= share * this.#limits.heapBytes || contents.size >= share * this.#limits.contents;
  }
}

/** The name stands in the key of its place once more. */
function heapBytes({ key, name }: DirectoryNode): number {
  return DIRECTORY_BYTES + key.length + 2 * name.length;
}
