/**
 * Reads small files ahead of a program that reads one after the other in a directory: an interpreter that opens its
 * modules, a server its settings. Each is a round trip by itself, and a link carries hundreds of such files in one. It is
 * the same with directories that are looked into and never listed, a package's and those of its parts.
 *
 * What sets it off is a reader that had to wait for a file: from there on the next small files of that directory are
 * wanted as `readahead`, those with the same ending first. How much grows with the square of such waits, from what a link
 * of 100 Mbit/s carries in half a round trip; so who reads one file of a directory has little fetched for nothing, and who
 * reads many has all of it. Each wait also pays for directories that are looked into next: the first files there whose
 * ending was waited for elsewhere are wanted at once, since a package's first file is a round trip, too. Where everything
 * is here nothing of this runs.
 */
import type { CID } from 'multiformats/cid';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import { type ContentKey, cidOf, contentKey } from '../unixfs/content-key.ts';
import type { LinkTable } from '../unixfs/link-table.ts';
import type { MountedVolume } from './mounted-volume.ts';

/** What is larger is read in parts, if at all: libraries, archives, images. */
const SMALL_FILE_BYTES = 256 * 1024;
/** What the root block of a directory, or of a file that is not a raw block, is taken for at the most. */
const INNER_BYTES = 32 * 1024;
/** For the first wait in a directory. */
const FIRST_BYTES = 256 * 1024;
/** For one directory in all. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Directories looked into lately that are remembered, for each volume; larger ones than this many entries are not. */
const DIRECTORIES_KEPT = 64;
const MAX_ENTRIES = 16_384;
/** Of all these directories together: some 5 MB for each volume, and 15 ms for who waits first. */
const ENTRIES_KEPT = 32_768;
/** Directories that a wait pays for, and that are paid for at most: no walk has the files of a whole tree fetched. */
const DIRECTORIES_A_WAIT = 2;
const MAX_PAID_DIRECTORIES = 16;
/** Endings waited for lately. A program's are few: its modules', compiled and not, and its libraries'. */
const ENDINGS_KEPT = 8;

interface Directory {
  readonly table: LinkTable;
  /** Links of its small files and directories by what they hold; made when the first of them is waited for. */
  files: Map<ContentKey, number> | undefined;
  waits: number;
  askedBytes: number;
  readonly asked: Set<number>;
}

interface Reader {
  /** Most recently looked into last. */
  readonly directories: Map<LinkTable, Directory>;
  /** Of all of them. */
  entries: number;
  /** Most recently waited for last. */
  readonly endings: Set<string>;
  paidDirectories: number;
}

export class SiblingsAhead {
  readonly #blocks: BlockReader;
  readonly #readers = new WeakMap<MountedVolume, Reader>();

  constructor(blocks: BlockReader) {
    this.#blocks = blocks;
  }

  /** To be told of each directory that is listed or looked into. Waits for nothing. */
  onDirectory(volume: MountedVolume, table: LinkTable): void {
    if (table.count > MAX_ENTRIES) return;
    const reader = this.#reader(volume);
    const { directories, endings } = reader;
    const known = directories.get(table);
    const directory = known ?? { table, files: undefined, waits: 0, askedBytes: 0, asked: new Set() };
    if (known) directories.delete(table);
    else reader.entries += table.count;
    directories.set(table, directory);
    while (directories.size > DIRECTORIES_KEPT || reader.entries > ENTRIES_KEPT) {
      const oldest = first(directories.keys());
      directories.delete(oldest);
      reader.entries -= oldest.count;
    }
    if (known || reader.paidDirectories === 0) return;
    const links = small(table, 0).filter((link) => endings.has(endingOf(table, link)));
    if (this.#ahead(volume, directory, links, FIRST_BYTES)) reader.paidDirectories--;
  }

  #onWait(volume: MountedVolume, reader: Reader, cid: CID): void {
    const key = contentKey(cid);
    for (const directory of [...reader.directories.values()].reverse()) {
      const { table, asked } = directory;
      directory.files ??= new Map(small(table, 0).map((link) => [table.key(link), link]));
      const from = directory.files.get(key);
      if (from === undefined) continue;
      const ending = endingOf(table, from);
      reader.endings.delete(ending);
      reader.endings.add(ending);
      if (reader.endings.size > ENDINGS_KEPT) reader.endings.delete(first(reader.endings));
      reader.paidDirectories = Math.min(MAX_PAID_DIRECTORIES, reader.paidDirectories + DIRECTORIES_A_WAIT);
      directory.waits++;
      asked.add(from);
      const budget = Math.min(MAX_BYTES, FIRST_BYTES * directory.waits ** 2);
      if (directory.askedBytes >= budget) return;
      // From the link that was waited for to the end, and then from the start.
      const alike = Map.groupBy(small(table, from + 1), (link) => endingOf(table, link) === ending);
      const links = [...(alike.get(true) ?? []), ...(alike.get(false) ?? [])];
      this.#ahead(volume, directory, links, budget);
      return;
    }
  }

  /** Wants the first of `links` that are not here, up to `budget` bytes of that directory in all; true where it wants any. */
  #ahead(volume: MountedVolume, directory: Directory, links: readonly number[], budget: number): boolean {
    const { table, asked } = directory;
    const want: WantOptions = { priority: 'readahead', timeoutMs: volume.spec.timeoutMs, account: volume.account };
    let wanted = false;
    for (const link of links) {
      if (directory.askedBytes >= budget || !volume.mounted) break;
      if (asked.has(link)) continue;
      asked.add(link);
      const cid = cidOf(table.key(link));
      if (this.#blocks.has(cid)) continue;
      directory.askedBytes += blockBytes(table, link);
      wanted = true;
      void this.#fetch(cid, want);
    }
    return wanted;
  }

  #reader(volume: MountedVolume): Reader {
    let reader = this.#readers.get(volume);
    if (!reader) {
      const made: Reader = { directories: new Map(), entries: 0, endings: new Set(), paidDirectories: 0 };
      volume.onWait = (cid) => this.#onWait(volume, made, cid);
      this.#readers.set(volume, made);
      reader = made;
    }
    return reader;
  }

  async #fetch(cid: CID, want: WantOptions): Promise<void> {
    try {
      await this.#blocks.get(cid, want);
    } catch {
      // Whoever reads it will be told.
    }
  }
}

/** Links of blocks worth bringing ahead: from `start` to the end, and then from the first. */
function small(table: LinkTable, start: number): number[] {
  const links: number[] = [];
  for (let step = 0; step < table.count; step++) {
    const link = (start + step) % table.count;
    if (blockBytes(table, link) <= SMALL_FILE_BYTES) links.push(link);
  }
  return links;
}

/** What the link's own block measures: of a raw one its link says it, of others it says what is below, too. */
function blockBytes(table: LinkTable, link: number): number {
  const size = table.size(link) ?? Number.POSITIVE_INFINITY;
  return table.isRaw(link) ? size : Math.min(size, INNER_BYTES);
}

/** What follows a name's first dot: `cpython-311.pyc` is not `cpython-311.opt-1.pyc`. */
function endingOf(table: LinkTable, link: number): string {
  const name = Buffer.from(table.name(link)).toString('latin1');
  const dot = name.indexOf('.', 1);
  return dot < 0 ? '' : name.slice(dot);
}

function first<T>(items: Iterable<T>): T {
  const [item] = items;
  return item as T;
}
