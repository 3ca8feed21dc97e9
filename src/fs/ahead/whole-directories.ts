/**
 * Brings small directories whole, as one request where a source can: whoever looks into a package reads several of its
 * files, and each of them, and each directory on the way there, is a round trip otherwise. Of one volume.
 */
import type { BlockReader, WantOptions } from '../../blocks/block-reader.ts';
import { type ContentKey, cidOf } from '../../unixfs/content-key.ts';
import type { UnixfsReader } from '../../unixfs/unixfs-reader.ts';
import type { AheadAllowance } from './ahead-allowance.ts';
import { SharedLatest } from './shared-latest.ts';

/** Directories asked for lately, over all volumes: what did not come of them is wanted by itself, and not as a whole once more. */
const ASKED_KEPT = 8192;
const ASKED_EACH = 1024;
/** Of a directory that is here, the entries that are looked at to see whether what stands in it is here as well. */
const SAMPLED_ENTRIES = 16;

type AskedDirectories = SharedLatest<object, ContentKey, true>;

/** What all volumes' share. */
export function askedDirectories(): AskedDirectories {
  return new SharedLatest({ maxWeight: ASKED_KEPT, maxEach: ASKED_EACH });
}

export class WholeDirectories {
  readonly #unixfs: UnixfsReader;
  readonly #blocks: BlockReader;
  readonly #allowance: AheadAllowance;
  readonly #want: WantOptions;
  readonly #asked: AskedDirectories;
  /** Directories that are on their way as a whole, or within one that is: each with all the others of its request. */
  readonly #coming = new Map<ContentKey, Set<ContentKey>>();

  constructor(unixfs: UnixfsReader, allowance: AheadAllowance, want: WantOptions, asked: AskedDirectories) {
    this.#unixfs = unixfs;
    this.#blocks = unixfs.blocks;
    this.#allowance = allowance;
    this.#want = want;
    this.#asked = asked;
  }

  /** The volume is no more. */
  end(): void {
    this.#asked.forget(this);
  }

  /**
   * Asks for the directory `key` and all that is below it, which claim to measure `sizeBytes`; true where it did. Not for
   * what is here: a directory's own block, and `inDepth` also what stands in it. Where no source sends it whole its own
   * block is wanted with `alone`, and otherwise left to whoever looks.
   */
  bring(key: ContentKey, sizeBytes: number, inDepth: boolean, alone = false): boolean {
    if (this.#asked.has(this, key) || !this.#allowance.covers(sizeBytes) || this.#isHere(key, inDepth)) return false;
    this.#asked.set(this, key, true);
    void this.#fetch(key, sizeBytes, alone);
    return true;
  }

  /** True while all that stands in the directory `key` is on its way. */
  isComing(key: ContentKey): boolean {
    return this.#coming.has(key);
  }

  /** The same, and where it is, so is what stands in its entry `child`: that need not be asked for by itself. */
  comesWith(key: ContentKey, child: ContentKey): boolean {
    const together = this.#coming.get(key);
    if (!together) return false;
    together.add(child);
    this.#coming.set(child, together);
    return true;
  }

  async #fetch(key: ContentKey, sizeBytes: number, alone: boolean): Promise<void> {
    const cid = cidOf(key);
    const together = new Set([key]);
    this.#coming.set(key, together);
    this.#allowance.take(sizeBytes);
    let cameBytes = 0;
    const want: WantOptions = {
      ...this.#want,
      account: (block, bytes, how) => {
        cameBytes += bytes;
        this.#want.account?.(block, bytes, how);
      },
    };
    try {
      const count = await this.#blocks.fetchRange(cid, { treeBytes: sizeBytes }, want);
      if (count === 0 && alone) await this.#blocks.get(cid, want);
    } catch {
      // Whoever looks into it will be told.
    } finally {
      for (const each of together) if (this.#coming.get(each) === together) this.#coming.delete(each);
      this.#allowance.settle(sizeBytes, cameBytes);
    }
  }

  #isHere(key: ContentKey, inDepth: boolean): boolean {
    if (!this.#unixfs.has(key)) return false;
    if (!inDepth) return true;
    try {
      const entry = this.#unixfs.entry(key, this.#want);
      if (entry instanceof Promise) {
        entry.catch(() => undefined);
        return true;
      }
      if (entry.kind !== 'directory') return true;
      const { entries } = entry;
      for (let link = 0; link < Math.min(entries.count, SAMPLED_ENTRIES); link++) {
        if (!this.#blocks.has(cidOf(entries.key(link)))) return false;
      }
    } catch {
      // Whoever looks into it will be told.
    }
    return true;
  }
}
