/**
 * What a program opens in each package, `package.json` or `__init__.py`, it opens in the next one as well: beside a
 * directory that was waited for come the others' own blocks, and with them the files whose names were looked up in two
 * directories or more. Of one volume.
 */
import type { BlockReader, WantOptions } from '../../blocks/block-reader.ts';
import { type ContentKey, cidOf } from '../../unixfs/content-key.ts';
import type { UnixfsEntry } from '../../unixfs/unixfs-entry.ts';
import type { UnixfsReader } from '../../unixfs/unixfs-reader.ts';
import { SMALL_FILE_BYTES } from '../link-order.ts';
import type { AheadAllowance } from './ahead-allowance.ts';
import { SharedLatest } from './shared-latest.ts';

/** Names that are counted, over all volumes and of each; and those of them that are usual. */
const NAMES_KEPT = 4096;
const NAMES_EACH = 256;
const USUAL_EACH = 8;
/** Directories that came ahead and wait for a name to become usual. */
const DIRECTORIES_KEPT = 8192;
const DIRECTORIES_EACH = 512;
/** What a file is taken for that claims less. */
const LEAST_BYTES = 1024;

interface UsualNamesMemory {
  /** A character a byte; how often. */
  readonly counts: SharedLatest<object, string, number>;
  readonly directories: SharedLatest<object, ContentKey, true>;
}

/** What all volumes' share. */
export function usualNamesMemory(): UsualNamesMemory {
  return {
    counts: new SharedLatest({ maxWeight: NAMES_KEPT, maxEach: NAMES_EACH }),
    directories: new SharedLatest({ maxWeight: DIRECTORIES_KEPT, maxEach: DIRECTORIES_EACH }),
  };
}

export class UsualNames {
  readonly #unixfs: UnixfsReader;
  readonly #blocks: BlockReader;
  readonly #allowance: AheadAllowance;
  readonly #want: WantOptions;
  readonly #usual = new Set<string>();
  readonly #memory: UsualNamesMemory;

  constructor(unixfs: UnixfsReader, allowance: AheadAllowance, want: WantOptions, memory: UsualNamesMemory) {
    this.#unixfs = unixfs;
    this.#blocks = unixfs.blocks;
    this.#allowance = allowance;
    this.#want = want;
    this.#memory = memory;
  }

  /** The volume is no more. */
  end(): void {
    this.#memory.counts.forget(this);
    this.#memory.directories.forget(this);
  }

  /** To be told of each file that is looked up: the kernel asks once for each place. */
  note(name: string): void {
    const { counts, directories } = this.#memory;
    const count = (counts.get(this, name) ?? 0) + 1;
    counts.set(this, name, count);
    if (count < 2 || this.#usual.has(name) || this.#usual.size >= USUAL_EACH) return;
    this.#usual.add(name);
    for (const key of directories.items(this).keys()) this.#open(this.#unixfs.known(key), [name]);
  }

  /** Brings the block of the directory `key`, taken for `sizeBytes`, and what is usual in it as soon as that is here. */
  async bring(key: ContentKey, sizeBytes: number): Promise<void> {
    this.#memory.directories.set(this, key, true);
    let cameBytes = 0;
    const account: WantOptions['account'] = (cid, bytes, how) => {
      cameBytes += bytes;
      this.#want.account?.(cid, bytes, how);
    };
    this.#allowance.take(sizeBytes);
    try {
      this.#open(await this.#unixfs.entry(key, { ...this.#want, account, expectedBytes: sizeBytes }), this.#usual);
    } catch {
      // Whoever looks into it will be told.
    } finally {
      this.#allowance.settle(sizeBytes, cameBytes);
    }
  }

  #open(entry: UnixfsEntry | undefined, names: Iterable<string>): void {
    if (entry?.kind !== 'directory') return;
    const { entries } = entry;
    for (const name of names) {
      const link = entries.indexOf(Buffer.from(name, 'latin1'));
      const claimedBytes = link < 0 ? undefined : entries.size(link);
      if (claimedBytes === undefined || claimedBytes > SMALL_FILE_BYTES) continue;
      const expectedBytes = Math.max(claimedBytes, LEAST_BYTES);
      const cid = cidOf(entries.key(link));
      if (this.#blocks.has(cid) || !this.#allowance.covers(expectedBytes)) continue;
      void this.#allowance.bring(this.#blocks, cid, expectedBytes, this.#want);
    }
  }
}
