/**
 * The directories that readers looked into lately, and what was asked for in each, by volume: of each volume the latest,
 * and within a bound on the entries of all of them.
 */
import type { ContentKey } from '../../unixfs/content-key.ts';
import type { LinkTable } from '../../unixfs/link-table.ts';
import type { MountedVolume } from '../mounted-volume.ts';
import { SharedLatest } from './shared-latest.ts';

/** Larger ones than this many entries are not remembered. */
export const MAX_ENTRIES = 16_384;
/** Of each volume. */
const DIRECTORIES_KEPT = 64;
/** Of all these directories together, over all volumes: 10 MB at the most, and 15 ms for who waits first. */
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
  /** Of these, of files that are called otherwise than what was waited for. */
  otherBytes: number;
  readonly asked: Set<number>;
  /** False where it was only listed. */
  lookedInto: boolean;
}

export class RecentDirectories {
  readonly #directories = new SharedLatest<MountedVolume, LinkTable, Directory>({
    maxWeight: ENTRIES_KEPT,
    weigh: (table) => table.count,
    maxEach: DIRECTORIES_KEPT,
  });

  get(volume: MountedVolume, table: LinkTable): Directory | undefined {
    return this.#directories.get(volume, table);
  }

  /** As the volume's latest. */
  use(volume: MountedVolume, key: ContentKey, table: LinkTable): Directory {
    const directory = this.#directories.get(volume, table) ?? {
      key,
      table,
      files: undefined,
      lookedUp: new Set(),
      waits: 0,
      askedBytes: 0,
      otherBytes: 0,
      asked: new Set(),
      lookedInto: false,
    };
    this.#directories.set(volume, table, directory);
    return directory;
  }

  latestFirst(volume: MountedVolume): Directory[] {
    return [...this.#directories.items(volume).values()].reverse();
  }

  /** The volume is no more. */
  forget(volume: MountedVolume): void {
    this.#directories.forget(volume);
  }
}
