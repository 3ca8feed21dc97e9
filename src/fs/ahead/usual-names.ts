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

/** Names that are counted, and those of them that are usual. */
const NAMES_KEPT = 256;
const USUAL_KEPT = 8;
/** Directories that came ahead and wait for a name to become usual. */
const DIRECTORIES_KEPT = 512;

export class UsualNames {
  readonly #unixfs: UnixfsReader;
  readonly #blocks: BlockReader;
  readonly #allowance: AheadAllowance;
  readonly #want: WantOptions;
  /** A character a byte; how often, most recently noted last. */
  readonly #counts = new Map<string, number>();
  readonly #usual = new Set<string>();
  readonly #directories = new Set<ContentKey>();

  constructor(unixfs: UnixfsReader, allowance: AheadAllowance, want: WantOptions) {
    this.#unixfs = unixfs;
    this.#blocks = unixfs.blocks;
    this.#allowance = allowance;
    this.#want = want;
  }

  /** To be told of each file that is looked up: the kernel asks once for each place. */
  note(name: string): void {
    const count = (this.#counts.get(name) ?? 0) + 1;
    keep(this.#counts, NAMES_KEPT, name, count);
    if (count < 2 || this.#usual.has(name) || this.#usual.size >= USUAL_KEPT) return;
    this.#usual.add(name);
    for (const key of this.#directories) this.#open(this.#unixfs.known(key), [name]);
  }

  /** Brings the block of the directory `key`, taken for `sizeBytes`, and what is usual in it as soon as that is here. */
  async bring(key: ContentKey, sizeBytes: number): Promise<void> {
    this.#directories.add(key);
    const [oldest] = this.#directories;
    if (oldest !== undefined && this.#directories.size > DIRECTORIES_KEPT) this.#directories.delete(oldest);
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
      const expectedBytes = link < 0 ? undefined : entries.size(link);
      if (expectedBytes === undefined || expectedBytes > SMALL_FILE_BYTES) continue;
      const cid = cidOf(entries.key(link));
      if (this.#blocks.has(cid) || !this.#allowance.covers(expectedBytes)) continue;
      void this.#allowance.bring(this.#blocks, cid, expectedBytes, this.#want);
    }
  }
}

function keep(counts: Map<string, number>, limit: number, name: string, count: number): void {
  counts.delete(name);
  counts.set(name, count);
  const [oldest] = counts.keys();
  if (oldest !== undefined && counts.size > limit) counts.delete(oldest);
}
