/**
 * The directories that a volume's readers looked into lately, and what was asked for in each, bounded by their number and
 * by their entries.
 */
import type { ContentKey } from '../../unixfs/content-key.ts';
import type { LinkTable } from '../../unixfs/link-table.ts';

/** Larger ones than this many entries are not remembered. */
export const MAX_ENTRIES = 16_384;
const DIRECTORIES_KEPT = 64;
/** Of all these directories together: some 5 MB for each volume, and 15 ms for who waits first. */
const ENTRIES_KEPT = 32_768;

export interface Directory {
  readonly key: ContentKey;
  readonly table: LinkTable;
  /** Links of its small files and directories by what they hold; made when the first of them is waited for. */
  files: Map<ContentKey, number> | undefined;
  /** Links that were looked up last: what is waited for is most likely one of these, and may stand there under other names, too. */
  readonly lookedUp: Set<number>;
  waits: number;
  askedBytes: number;
  readonly asked: Set<number>;
  /** False where it was only listed. */
  lookedInto: boolean;
}

export class RecentDirectories {
  /** Most recently looked into last. */
  readonly #directories = new Map<LinkTable, Directory>();
  #entries = 0;

  get(table: LinkTable): Directory | undefined {
    return this.#directories.get(table);
  }

  /** As the latest. */
  use(key: ContentKey, table: LinkTable): Directory {
    const known = this.#directories.get(table);
    const directory = known ?? {
      key,
      table,
      files: undefined,
      lookedUp: new Set(),
      waits: 0,
      askedBytes: 0,
      asked: new Set(),
      lookedInto: false,
    };
    if (known) this.#directories.delete(table);
    else this.#entries += table.count;
    this.#directories.set(table, directory);
    while (this.#directories.size > DIRECTORIES_KEPT || this.#entries > ENTRIES_KEPT) {
      const [oldest] = this.#directories.keys();
      if (!oldest) break;
      this.#directories.delete(oldest);
      this.#entries -= oldest.count;
    }
    return directory;
  }

  latestFirst(): Directory[] {
    return [...this.#directories.values()].reverse();
  }
}
