/**
 * A volume as the file system knows it: a name in the root directory, the content below it, and how that is shown.
 */
import type { CID } from 'multiformats/cid';
import { codeOf, messageChain } from '../base/errors.ts';
import type { OnBlock } from '../blocks/block-reader.ts';
import { BlockTally } from '../blocks/block-tally.ts';
import { type ContentKey, contentKey } from '../unixfs/content-key.ts';
import { Waits } from './waits.ts';

export interface VolumeSpec {
  /** One name in the root directory: what may not stand in a file name is encoded already. Unique. */
  readonly name: string;
  /** The content itself, behind any path of the reference (`resolvePath`). */
  readonly root: CID;
  /** Learned on first need where it is not given. */
  readonly kind?: 'file' | 'directory' | undefined;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of files and directories whose content has none. */
  readonly fileMode: number;
  readonly dirMode: number;
  /** Bound of one read, look-up or listing. */
  readonly timeoutMs: number;
}

/** As whom content is shown. Volumes of equal owners share their files' nodes, so this is one object for them all. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly dirMode: number;
}

/** Since the volume was added. A file in several volumes counts for each. */
export interface VolumeCounters {
  reads: number;
  bytesRead: number;
  errors: number;
}

export class MountedVolume {
  readonly spec: VolumeSpec;
  readonly rootKey: ContentKey;
  readonly owner: Owner;
  /** Ascending in the order of adding: the volume's cursor in the root's listing. */
  readonly serial: number;
  readonly counters: VolumeCounters = { reads: 0, bytesRead: 0, errors: 0 };
  /** As given, or as learned; undefined until then. */
  kind: 'file' | 'directory' | undefined;
  /** False once removed; nodes that the kernel still holds go on working. */
  mounted = true;
  /** Blocks that came on this volume's account; a later mount of the same name may go on with it. */
  tally = new BlockTally();
  /** What a boot profile names and is fetched for it: whoever waits for one of these has no need of guesses. */
  foretold: Pick<ReadonlySet<ContentKey>, 'has'> | undefined;
  /** What readers of this volume wait for now. */
  readonly waits = new Waits();
  /** When the first byte was read, by the file system's clock. */
  firstReadMs: number | undefined;
  /** True from a failure to have content until content is had again. */
  failing = false;
  /** To be given along with every want on this volume's account. */
  readonly account: OnBlock = (cid, sizeBytes, how) => {
    this.tally.account(cid, sizeBytes, how);
    if (how.priority === 'demand') this.onNeed?.(cid, sizeBytes, how.fetched);
  };
  /** Told of each block, or part of one, that a reader was given, and whether it `waited`. Must not throw. */
  onNeed: ((cid: CID, sizeBytes: number, waited: boolean) => void) | undefined;
  #lastError: string | null = null;
  #lastErrorMs = 0;

  constructor(spec: VolumeSpec, owner: Owner, serial: number) {
    this.spec = spec;
    this.kind = spec.kind;
    this.rootKey = contentKey(spec.root);
    this.owner = owner;
    this.serial = serial;
  }

  /** The chain of causes of the latest failure, for people; null where none was. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** When that was, by `performance.now()`. */
  get lastErrorMs(): number {
    return this.#lastErrorMs;
  }

  /** Counts bytes that a reader got. */
  delivered(sizeBytes: number, now: () => number): void {
    this.counters.bytesRead += sizeBytes;
    this.failing = false;
    this.firstReadMs ??= now();
  }

  /** Counts a failure to have content. False for what is none: answers such as "no such entry", and callers who left. */
  note(error: unknown): boolean {
    if (ANSWERS.has(codeOf(error))) return false;
    this.counters.errors++;
    this.failing = true;
    this.#lastError = messageChain(error);
    this.#lastErrorMs = performance.now();
    return true;
  }
}

const ANSWERS: ReadonlySet<string> = new Set([
  'ENTRY_NOT_FOUND',
  'NOT_A_DIRECTORY',
  'IS_A_DIRECTORY',
  'NOT_A_SYMLINK',
  'NAME_TOO_LONG',
  'NO_ATTRIBUTE',
  'BAD_HANDLE',
  'ABORTED',
]);
