/**
 * Reads small files ahead of a program that reads one after the other in a directory: an interpreter that opens its
 * modules, a server its settings. Each is a round trip by itself, and a link carries hundreds of such files in one.
 *
 * What sets it off is a reader that had to wait for a file: from there on the next small files of that directory are
 * wanted, in its order, as `readahead`. How much grows with the square of such waits, from what a link of 100 Mbit/s
 * carries in half a round trip; so who reads one file of a directory has little fetched for nothing, and who reads many
 * has all of it. Where everything is here nothing of this runs.
 */
import type { CID } from 'multiformats/cid';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import { type ContentKey, cidOf, contentKey } from '../unixfs/content-key.ts';
import type { LinkTable } from '../unixfs/link-table.ts';
import type { MountedVolume } from './mounted-volume.ts';

/** What is larger is read in parts, if at all: libraries, archives, images. */
const SMALL_FILE_BYTES = 256 * 1024;
/** For the first wait in a directory. */
const FIRST_BYTES = 256 * 1024;
/** For one directory in all. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Directories looked into lately that are remembered, for each volume; larger ones than this many entries are not. */
const DIRECTORIES_KEPT = 64;
const MAX_ENTRIES = 16_384;
/** Of all these directories together: some 5 MB for each volume, and 15 ms for who waits first. */
const ENTRIES_KEPT = 32_768;

interface Directory {
  readonly table: LinkTable;
  /** Links of its small files by what they hold; made when the first of them is waited for. */
  files: Map<ContentKey, number> | undefined;
  waits: number;
  askedBytes: number;
  readonly asked: Set<number>;
}

/** Those of one volume. */
interface Recent {
  /** Most recently looked into last. */
  readonly directories: Map<LinkTable, Directory>;
  entries: number;
}

export class SiblingsAhead {
  readonly #blocks: BlockReader;
  readonly #recent = new WeakMap<MountedVolume, Recent>();

  constructor(blocks: BlockReader) {
    this.#blocks = blocks;
  }

  /** To be told of each directory that is listed or looked into. Waits for nothing. */
  onDirectory(volume: MountedVolume, table: LinkTable): void {
    if (table.count > MAX_ENTRIES) return;
    let recent = this.#recent.get(volume);
    if (!recent) {
      recent = { directories: new Map(), entries: 0 };
      this.#recent.set(volume, recent);
      volume.onWait = (cid) => this.#onWait(volume, cid);
    }
    const { directories } = recent;
    const known = directories.get(table);
    if (known) directories.delete(table);
    else recent.entries += table.count;
    directories.set(table, known ?? { table, files: undefined, waits: 0, askedBytes: 0, asked: new Set() });
    for (const oldest of directories.keys()) {
      if (directories.size <= DIRECTORIES_KEPT && recent.entries <= ENTRIES_KEPT) return;
      directories.delete(oldest);
      recent.entries -= oldest.count;
    }
  }

  #onWait(volume: MountedVolume, cid: CID): void {
    const key = contentKey(cid);
    for (const directory of [...(this.#recent.get(volume)?.directories.values() ?? [])].reverse()) {
      directory.files ??= smallFiles(directory.table);
      const link = directory.files.get(key);
      if (link === undefined) continue;
      directory.waits++;
      this.#ahead(volume, directory, link);
      return;
    }
  }

  /** From the link that was waited for to the end, and then from the start. */
  #ahead(volume: MountedVolume, directory: Directory, from: number): void {
    const { table, asked } = directory;
    const budget = Math.min(MAX_BYTES, FIRST_BYTES * directory.waits ** 2);
    const want: WantOptions = { priority: 'readahead', timeoutMs: volume.spec.timeoutMs, account: volume.account };
    asked.add(from);
    for (let step = 1; step < table.count && directory.askedBytes < budget && volume.mounted; step++) {
      const link = (from + step) % table.count;
      if (asked.has(link) || !isSmallFile(table, link)) continue;
      asked.add(link);
      const cid = cidOf(table.key(link));
      if (this.#blocks.has(cid)) continue;
      directory.askedBytes += table.size(link) ?? 0;
      void this.#fetch(cid, want);
    }
  }

  async #fetch(cid: CID, want: WantOptions): Promise<void> {
    try {
      await this.#blocks.get(cid, want);
    } catch {
      // Whoever reads it will be told.
    }
  }
}

/** A raw block: its link says how large the file is, and it is all of it. */
function isSmallFile(table: LinkTable, link: number): boolean {
  return table.isRaw(link) && (table.size(link) ?? Number.POSITIVE_INFINITY) <= SMALL_FILE_BYTES;
}

function smallFiles(table: LinkTable): Map<ContentKey, number> {
  const files = new Map<ContentKey, number>();
  for (let link = 0; link < table.count; link++) if (isSmallFile(table, link)) files.set(table.key(link), link);
  return files;
}
