/**
 * What the kernel's node numbers mean, kept in a file for the process that comes next.
 *
 * The node table tells of each change in the turn in which it happens. Records gather in a buffer; before an answer that
 * tells the kernel of a number leaves, `keep` writes them, all that came up since in one write. What only frees a number
 * has no hurry: it goes along with the next write, or after LAZY_MS.
 *
 * What always holds:
 * - A number that the kernel has been told of is in the file, whenever this process ends.
 * - The file says of a count of look-ups what it is or more, so that a node may live too long but never too short.
 * - No request fails because of the file. Where it cannot be written (a full disk), it is removed and one line says so;
 *   should this process then die, the next one answers ESTALE for the numbers given out so far. It is begun anew, from the
 *   table, as soon as that can be done.
 * - The file stays in proportion to the table: it is written anew when most of it is of the past.
 */
import { rmSync, truncateSync } from 'node:fs';
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { MountedVolume } from '../../fs/mounted-volume.ts';
import type { ContentNode, Node } from '../../fs/node.ts';
import type { NodeEvent, NodeRecorder, RecordedState } from '../../fs/node-recorder.ts';
import { JournalFile } from './journal-file.ts';
import { JournalRewrite, volumesOf } from './journal-rewrite.ts';
import { keptLookups } from './kept-lookups.ts';
import { EventEncoder, maximalBytes, usualBytes } from './node-events.ts';

/** What has no hurry is written within this. */
const LAZY_MS = 200;
/** Below this size a file is never written anew. */
const REWRITE_FROM_BYTES = 1024 * 1024;
/** Above this, a file is written anew when it is more than twice what the table needs. */
const REWRITE_FACTOR = 2;
/** How often it is tried to begin anew after a failure. */
const RETRY_MS = 10_000;
/** Of a volume's record, with its name and root. */
const VOLUME_BYTES = 2048;
/** Of a record that has two numbers. */
const SMALL_BYTES = 32;

export interface NodeJournalOptions {
  readonly rewriteFromBytes?: number;
  readonly retryMs?: number;
  /** Told now and then while a file is taken over, which is done in one turn and may take a minute. */
  readonly onRestoring?: () => void;
}

/** The file system, as the journal needs it. */
export interface JournalledFileSystem extends RecordedState {
  restore(events: Iterable<NodeEvent>): void;
  loseNumbersBelow(id: number): void;
}

export class NodeJournal implements NodeRecorder {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #encoder = new EventEncoder();
  /** All that the file may name. */
  readonly #volumes = new Map<number, MountedVolume>();
  #state: RecordedState | undefined;
  #file: JournalFile | undefined;
  #rewrite: JournalRewrite | undefined;
  #urgent = false;
  #timer: NodeJS.Timeout | undefined;
  /** What the table's records take in all, by estimate. */
  #liveBytes = 0;
  readonly #rewriteFromBytes: number;
  readonly #retryMs: number;
  readonly #onRestoring: () => void;
  /** Not before it is this long. */
  #rewriteAtBytes: number;

  /** Touches no file before `begin`. */
  constructor(path: string, logger: Logger, options: NodeJournalOptions = {}) {
    this.#path = path;
    this.#logger = logger;
    this.#rewriteFromBytes = options.rewriteFromBytes ?? REWRITE_FROM_BYTES;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    this.#onRestoring = options.onRestoring ?? (() => undefined);
    this.#rewriteAtBytes = this.#rewriteFromBytes;
  }

  /** True while the next process would find all it needs. */
  get isWhole(): boolean {
    return this.#file !== undefined;
  }

  /**
   * Gives `fileSystem` what an earlier process kept, and goes on with its file. `inherited`: there was one, that may have
   * told the kernel of numbers. To be called once, before the file system is used.
   */
  begin(fileSystem: JournalledFileSystem, inherited: boolean): void {
    this.#state = fileSystem;
    remove(`${this.#path}.new`);
    if (inherited) {
      this.#takeOver(fileSystem);
      return;
    }
    try {
      this.#file = JournalFile.create(this.#path);
    } catch (error) {
      this.#fail(error);
    }
  }

  #takeOver(fileSystem: JournalledFileSystem): void {
    let file: JournalFile | undefined;
    try {
      file = JournalFile.open(this.#path);
      fileSystem.restore(file.events(this.#onRestoring));
      this.#file = file;
    } catch (error) {
      this.#logger.error(
        { file: this.#path, error: messageChain(error) },
        'what node numbers mean could not be taken over from an earlier daemon: whoever has files open sees ESTALE',
      );
      file?.close();
      remove(this.#path);
      // Beyond every number given out so far, unless that were four million a second.
      fileSystem.loseNumbersBelow(Date.now() * 4096);
    }
    for (const node of fileSystem.heldNodes()) {
      this.#liveBytes += usualBytes(node);
      for (const volume of volumesOf(node)) this.#volumes.set(volume.serial, volume);
    }
    if (!this.#file) this.#startRewrite();
  }

  /** To be called before an answer leaves. */
  readonly keep = (): void => {
    if (this.#urgent) this.#write();
  };

  /** Writes what is left, and writes no more. */
  close(): void {
    this.#write();
    clearTimeout(this.#timer);
    this.#rewrite?.abandon();
    this.#file?.close();
    this.#rewrite = undefined;
    this.#file = undefined;
  }

  volumeAdded(volume: MountedVolume): void {
    this.#volumes.set(volume.serial, volume);
    this.#makeRoom(VOLUME_BYTES);
    this.#encoder.volume(volume);
    this.#later();
  }

  volumeRemoved(volume: MountedVolume): void {
    this.#makeRoom(SMALL_BYTES);
    this.#encoder.volumeRemoved(volume);
    this.#later();
  }

  added(node: Node): void {
    this.#liveBytes += usualBytes(node);
    this.#makeRoom(maximalBytes(node));
    this.#encoder.node(node, keptLookups(node.lookups));
    this.#rewrite?.refersTo(volumesOf(node));
    this.#urgent = true;
  }

  counted(node: Node, before: number): void {
    const lookups = keptLookups(node.lookups);
    if (lookups === keptLookups(before)) return;
    this.#makeRoom(SMALL_BYTES);
    this.#encoder.count(node.id, lookups);
    if (node.lookups > before) this.#urgent = true;
    else this.#later();
  }

  held(node: ContentNode, volume: MountedVolume): void {
    this.#makeRoom(SMALL_BYTES);
    this.#encoder.held(node.id, volume.serial);
    this.#rewrite?.refersTo([volume]);
    this.#later();
  }

  ended(node: Node): void {
    this.#liveBytes -= usualBytes(node);
    this.#makeRoom(SMALL_BYTES);
    this.#encoder.ended(node.id);
    this.#later();
  }

  #makeRoom(bytes: number): void {
    if (!this.#encoder.hasRoom(bytes)) this.#write();
    this.#encoder.hasRoom(bytes);
  }

  #later(): void {
    this.#timer ??= setTimeout(() => this.#write(), LAZY_MS).unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#urgent = false;
    if (this.#encoder.length === 0) return;
    const events = this.#encoder.take();
    try {
      this.#file?.append(events);
    } catch (error) {
      this.#fail(error);
    }
    try {
      this.#rewrite?.append(events);
    } catch (error) {
      this.#abandonRewrite(error);
    }
    if (!this.#file || this.#rewrite || this.#file.length < this.#rewriteAtBytes) return;
    if (this.#file.length > REWRITE_FACTOR * this.#liveBytes) this.#startRewrite();
  }

  /** The file cannot be gone on with: one that lacks a number must not be taken for whole. */
  #fail(error: unknown): void {
    this.#logger.error(
      { file: this.#path, error: messageChain(error) },
      'what node numbers mean cannot be kept: should the daemon die now, whoever has files open sees ESTALE',
    );
    this.#file?.close();
    this.#file = undefined;
    this.#rewrite?.abandon();
    this.#rewrite = undefined;
    remove(this.#path);
    this.#retryLater();
  }

  #retryLater(): void {
    setTimeout(() => this.#startRewrite(), this.#retryMs).unref();
  }

  #startRewrite(): void {
    if (this.#rewrite || !this.#state) return;
    const serials = [...this.#volumes.keys()].sort((a, b) => a - b);
    const volumes = serials.map((serial) => this.#volumes.get(serial) as MountedVolume);
    try {
      this.#rewrite = new JournalRewrite(`${this.#path}.new`, this.#state, volumes);
      this.#continueRewrite(this.#rewrite);
    } catch (error) {
      this.#abandonRewrite(error);
    }
  }

  #continueRewrite(rewrite: JournalRewrite): void {
    if (this.#rewrite !== rewrite) return;
    try {
      if (!rewrite.step()) {
        setImmediate(() => this.#continueRewrite(rewrite));
        return;
      }
      const file = rewrite.replace(this.#path);
      this.#rewrite = undefined;
      if (!this.#file) this.#logger.info({ file: this.#path }, 'what node numbers mean is kept again');
      this.#file?.close();
      this.#file = file;
      this.#rewriteAtBytes = this.#rewriteFromBytes;
      for (const [serial, volume] of this.#volumes) {
        if (!volume.mounted && !rewrite.isReferenced(volume)) this.#volumes.delete(serial);
      }
    } catch (error) {
      this.#abandonRewrite(error);
    }
  }

  /** A file that is only too long is gone on with; one that is not there is tried again. */
  #abandonRewrite(error: unknown): void {
    this.#rewrite?.abandon();
    this.#rewrite = undefined;
    if (!this.#file) {
      this.#retryLater();
      return;
    }
    this.#rewriteAtBytes = 2 * this.#file.length;
    this.#logger.warn({ error: messageChain(error) }, 'the file of node numbers cannot be written anew, and grows on');
  }
}

/**
 * A file that cannot even be removed is emptied: nothing is better than a part. On a disk that takes neither the next
 * process cannot open it for writing, and loses its numbers as it must.
 */
function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    try {
      truncateSync(path);
    } catch {
      // Thrown from here, it would leave a request without an answer.
    }
  }
}
