/**
 * Records which blocks a volume's readers needed, in what order, and how many of them a profile had named. Only what
 * somebody waited for counts; what was brought ahead shows when it is read.
 */
import type { OnBlock } from '../blocks/block-reader.ts';
import { type ContentKey, contentKey } from '../unixfs/content-key.ts';
import { type BootProfile, MAX_PROFILE_BLOCKS } from './boot-profile.ts';

export class BootRecorder {
  readonly #root: string;
  readonly #blocks = new Map<ContentKey, number>();
  /** Of a block that nobody was given whole yet, what was given of it. */
  readonly #parts = new Map<ContentKey, number>();
  #foretold: BootProfile['blocks'] = new Map();
  #bytes = 0;

  constructor(root: string) {
    this.#root = root;
  }

  readonly onBlock: OnBlock = (cid, sizeBytes, how) => {
    if (!isNeeded(how)) return;
    const key = contentKey(cid);
    const known = this.#blocks.get(key);
    if (known === undefined && this.#blocks.size >= MAX_PROFILE_BLOCKS) return;
    this.#count(key, known ?? 0, sizeBytes, how.part === true);
    this.#blocks.set(key, Math.max(known ?? 0, how.part ? 0 : sizeBytes));
  };

  /** A block is given many times, as its file is read piece by piece: all of it once, or else the pieces. */
  #count(key: ContentKey, wholeBytes: number, sizeBytes: number, part: boolean): void {
    if (wholeBytes > 0) return;
    const given = this.#parts.get(key) ?? 0;
    if (part) this.#parts.set(key, given + sizeBytes);
    else this.#parts.delete(key);
    this.#bytes += part ? sizeBytes : Math.max(0, sizeBytes - given);
  }

  /** The profile to measure by; may be found after the first blocks were needed. */
  foretold({ blocks }: BootProfile): void {
    this.#foretold = blocks;
  }

  /** Of the blocks that a profile has room for, each counted once. */
  get bytesDemanded(): number {
    return this.#bytes;
  }

  /** Of the blocks demanded those that the profile named, 0 to 1; null where nothing was demanded or there was no profile. */
  get hitShare(): number | null {
    if (this.#foretold.size === 0 || this.#blocks.size === 0) return null;
    let hits = 0;
    for (const block of this.#blocks.keys()) if (this.#foretold.has(block)) hits++;
    return hits / this.#blocks.size;
  }

  /** Undefined where nothing was read. */
  profile(): BootProfile | undefined {
    return this.#blocks.size > 0 ? { root: this.#root, runs: 1, blocks: new Map(this.#blocks) } : undefined;
  }
}

/** Whether somebody waits for a block that came as `how` says: for what is read, and for a listing's children. */
export function isNeeded({ priority, awaited }: Parameters<OnBlock>[2]): boolean {
  return priority === 'demand' || awaited === true;
}
