/**
 * Reads small files ahead of a program that reads one after the other in a directory: an interpreter that opens its
 * modules, a server its settings. Each is a round trip by itself, and a link carries hundreds of such files in one. It is
 * the same with directories that are looked into and never listed, a package's and those of its parts.
 *
 * What sets it off is a reader that had to wait for a file: from there on the next small files of that directory are
 * wanted as `readahead`, those with the same ending first. How much grows with the square of such waits, from what a link
 * of 100 Mbit/s carries in half a round trip; so who reads one file of a directory has little fetched for nothing, and who
 * reads many has all of it, less what is called as nothing was that was waited for. Each wait also pays for directories that are looked into next: the first files there whose
 * ending was waited for elsewhere are wanted at once, since a package's first file is a round trip, too. Where everything
 * is here nothing of this runs.
 *
 * Beside a directory that was waited for come the others' own blocks, and from those the files whose names were waited for
 * in several (`UsualNames`). One is brought whole where it is small, as one request where a source can: when it is looked into, and beside
 * one that was, the smallest first. How large that may be grows with the volume's waits, and all of it is bounded by what
 * is read in the end (`AheadAllowance`). Where all its listings are here, only the files in it come whose ending was waited
 * for elsewhere (`alikeBelow`).
 */
import type { CID } from 'multiformats/cid';
import type { BlockReader, WantOptions } from '../../blocks/block-reader.ts';
import { type ContentKey, cidOf, contentKey } from '../../unixfs/content-key.ts';
import type { LinkTable } from '../../unixfs/link-table.ts';
import type { UnixfsReader } from '../../unixfs/unixfs-reader.ts';
import { alikeFirst, blockBytes, endingOf, SMALL_FILE_BYTES, smallestFirst, totalBytes, upTo } from '../link-order.ts';
import type { MountedVolume } from '../mounted-volume.ts';
import type { DirectoryNode } from '../node.ts';
import { AheadAllowance } from './ahead-allowance.ts';
import { alikeBelow } from './alike-below.ts';
import { PerVolume } from './per-volume.ts';
import { type Directory, MAX_ENTRIES, RecentDirectories } from './recent-directories.ts';
import { UsualNames, usualNamesMemory } from './usual-names.ts';
import { askedDirectories, WholeDirectories } from './whole-directories.ts';

/** A directory of no more is brought whole from the first; and, once a reader waited often, one of so much. */
const TREE_BYTES = 256 * 1024;
const MAX_TREE_BYTES = 4 * 1024 * 1024;
/** The largest block of today's importers. */
const BLOCK_BYTES = 1024 * 1024;
/** For the first wait in a directory. */
const FIRST_BYTES = 256 * 1024;
/** What a link is taken for that claims less: none brings all of a directory at once, whatever its links say. */
const LEAST_BYTES = 1024;
/** For one directory in all. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Directories that a wait pays for, and that are paid for at most: no walk has the files of a whole tree fetched. */
const DIRECTORIES_A_WAIT = 2;
const MAX_PAID_DIRECTORIES = 16;
/** Entries that are here are passed over, and so many of them in one turn: each is a question or a few to the disk's index. */
const PASSED_OVER = 128;
/** Endings waited for lately. A program's are few: its modules', compiled and not, and its libraries'. */
const ENDINGS_KEPT = 8;
/** In one directory, between a file's look-up and its first read. */
const LOOKED_UP_KEPT = 16;

interface Reader {
  /** Most recently waited for last. */
  readonly endings: Set<string>;
  paidDirectories: number;
  waits: number;
  readonly allowance: AheadAllowance;
  readonly usualNames: UsualNames;
  readonly whole: WholeDirectories;
}

export class SiblingsAhead {
  readonly #unixfs: UnixfsReader;
  readonly #blocks: BlockReader;
  readonly #directories = new RecentDirectories();
  readonly #usual = usualNamesMemory();
  readonly #asked = askedDirectories();
  readonly #readers = new PerVolume<Reader>(
    (volume) => this.#makeReader(volume),
    (volume, { usualNames, whole }) => {
      this.#directories.forget(volume);
      usualNames.end();
      whole.end();
    },
  );

  constructor(unixfs: UnixfsReader) {
    this.#unixfs = unixfs;
    this.#blocks = unixfs.blocks;
  }

  /** To be told of each directory that is listed or looked into. Waits for nothing. */
  onDirectory({ volume, key }: DirectoryNode, table: LinkTable): void {
    if (table.count > MAX_ENTRIES || !volume.mounted) return;
    const reader = this.#readers.get(volume);
    const { endings } = reader;
    const isKnown = this.#directories.get(volume, table) !== undefined;
    const directory = this.#directories.use(volume, key, table);
    if (isKnown || reader.paidDirectories === 0) return;
    const links = upTo(SMALL_FILE_BYTES, table, 0).filter((link) => endings.has(endingOf(table, link)));
    if (this.#ahead(volume, directory, links, FIRST_BYTES)) reader.paidDirectories--;
  }

  /** To be told of each entry that is looked up, before its block is wanted. */
  onLookup({ volume, key }: DirectoryNode, table: LinkTable, link: number): void {
    const directory = this.#directories.get(volume, table);
    if (!directory || !volume.mounted) return;
    const reader = this.#readers.get(volume);
    const limitBytes = Math.min(MAX_TREE_BYTES, TREE_BYTES * Math.max(1, reader.waits));
    const { asked } = directory;
    const child = table.key(link);
    remember(directory.lookedUp, link, LOOKED_UP_KEPT);
    if (reader.waits > 0 && !this.#isTree(reader, table, link, Number.POSITIVE_INFINITY)) {
      reader.usualNames.note(Buffer.from(table.name(link)).toString('latin1'));
    }
    if (reader.whole.comesWith(key, child)) return;
    // One that came by a listing of its parent was not looked up itself.
    if (!directory.lookedInto && reader.waits > 0) {
      directory.lookedInto = true;
      const sizeBytes = totalBytes(table, limitBytes);
      if (sizeBytes <= limitBytes && !isForetold(volume, key)) {
        if (this.#alikeBelow(volume, reader, key, limitBytes)) return;
        if (reader.whole.bring(key, sizeBytes, true)) {
          reader.whole.comesWith(key, child);
          return;
        }
      }
    }
    if (!asked.has(link) && this.#isTree(reader, table, link, limitBytes) && !isForetold(volume, child)) {
      if (this.#alikeBelow(volume, reader, child, limitBytes)) return;
      if (reader.whole.bring(child, table.size(link) ?? 0, reader.waits > 0)) asked.add(link);
    }
  }

  /** Brings what is alike in a directory that is known to its leaves, and paid for; false where it is not. */
  #alikeBelow(volume: MountedVolume, reader: Reader, key: ContentKey, limitBytes: number): boolean {
    const found = reader.paidDirectories > 0 ? alikeBelow(this.#unixfs, key, reader.endings) : undefined;
    if (!found) return false;
    let wanted = false;
    for (const { key: below, table, links } of found)
      wanted = this.#ahead(volume, this.#directories.use(volume, below, table), links, limitBytes) || wanted;
    if (wanted) reader.paidDirectories--;
    return true;
  }

  #onWait(volume: MountedVolume, reader: Reader, cid: CID): void {
    const key = contentKey(cid);
    if (isForetold(volume, key)) return;
    reader.waits++;
    for (const directory of this.#directories.latestFirst(volume)) {
      const { table, asked } = directory;
      directory.files ??= new Map(upTo(BLOCK_BYTES, table, 0).map((link) => [table.key(link), link]));
      const any = directory.files.get(key);
      if (any === undefined) continue;
      const from = [...directory.lookedUp].findLast((link) => table.key(link) === key) ?? any;
      const ending = endingOf(table, from);
      const isDirectory = this.#isTree(reader, table, from, Number.POSITIVE_INFINITY);
      if (!isDirectory) remember(reader.endings, ending, ENDINGS_KEPT);
      reader.paidDirectories = Math.min(MAX_PAID_DIRECTORIES, reader.paidDirectories + DIRECTORIES_A_WAIT);
      directory.waits++;
      asked.add(from);
      const budget = Math.min(MAX_BYTES, FIRST_BYTES * directory.waits ** 2);
      if (directory.askedBytes >= budget) return;
      if (isDirectory) this.#ahead(volume, directory, smallestFirst(table), budget);
      else this.#aheadOfFile(volume, reader, directory, from, budget);
      return;
    }
  }

  /** Of files that are called as none was that a reader waited for, no more in all than for a first wait. */
  #aheadOfFile(volume: MountedVolume, reader: Reader, directory: Directory, from: number, budget: number): void {
    const { likely, others } = alikeFirst(directory.table, from, reader.endings);
    this.#ahead(volume, directory, likely, budget);
    const before = directory.askedBytes;
    this.#ahead(volume, directory, others, Math.min(budget, before + FIRST_BYTES - directory.otherBytes));
    directory.otherBytes += directory.askedBytes - before;
  }

  /** Wants the first of `links` that are not here, up to `budget` bytes of that directory in all; true where it wants any. */
  #ahead(volume: MountedVolume, directory: Directory, links: readonly number[], budget: number): boolean {
    const { table, asked } = directory;
    const reader = this.#readers.get(volume);
    if (reader.whole.isComing(directory.key)) return false;
    const want = wantOf(volume);
    let wanted = false;
    let passedOver = 0;
    for (const link of links) {
      if (directory.askedBytes >= budget || passedOver >= PASSED_OVER || !volume.mounted) break;
      if (asked.has(link)) continue;
      const isTree = this.#isTree(reader, table, link, TREE_BYTES);
      const claimedBytes = isTree ? (table.size(link) ?? 0) : blockBytes(table, link);
      const sizeBytes = Math.max(claimedBytes, LEAST_BYTES);
      if (!reader.allowance.covers(sizeBytes)) break;
      asked.add(link);
      const key = table.key(link);
      if (isTree ? !reader.whole.bring(key, sizeBytes, true, true) : this.#blocks.has(cidOf(key))) {
        passedOver++;
        continue;
      }
      if (!isTree && this.#isTree(reader, table, link, Number.POSITIVE_INFINITY))
        void reader.usualNames.bring(key, sizeBytes);
      else if (!isTree) void reader.allowance.bring(this.#blocks, cidOf(key), sizeBytes, want);
      directory.askedBytes += sizeBytes;
      wanted = true;
    }
    return wanted;
  }

  /** Whether a link leads to a directory of no more than `limitBytes` in all, as far as can be told without its block. */
  #isTree({ endings }: Reader, table: LinkTable, link: number, limitBytes: number): boolean {
    // Files have blocks of this kind, too, where they have a mode or a time: those are called as other files are.
    return (
      !table.isRaw(link) &&
      (table.size(link) ?? Number.POSITIVE_INFINITY) <= limitBytes &&
      !endings.has(endingOf(table, link))
    );
  }

  #makeReader(volume: MountedVolume): Reader {
    const allowance = new AheadAllowance();
    const reader: Reader = {
      endings: new Set(),
      paidDirectories: 0,
      waits: 0,
      allowance,
      usualNames: new UsualNames(this.#unixfs, allowance, wantOf(volume), this.#usual),
      whole: new WholeDirectories(this.#unixfs, allowance, wantOf(volume), this.#asked),
    };
    volume.onNeed = (cid, sizeBytes, waited) => {
      allowance.read(sizeBytes);
      if (waited) this.#onWait(volume, reader, cid);
    };
    return reader;
  }
}

/** True of what comes anyway, and in its order. */
function isForetold({ foretold }: MountedVolume, key: ContentKey): boolean {
  return foretold?.has(key) ?? false;
}

function wantOf({ spec, account }: MountedVolume): WantOptions {
  return { priority: 'readahead', timeoutMs: spec.timeoutMs, account };
}

/** As the latest of so many. */
function remember<T>(latest: Set<T>, item: T, limit: number): void {
  latest.delete(item);
  latest.add(item);
  if (latest.size > limit) latest.delete(first(latest));
}

function first<T>(items: Iterable<T>): T {
  const [item] = items;
  return item as T;
}
