/**
 * What a program is likely to read of a directory whose every listing is here: files called as those that it waited for
 * elsewhere. Of a Python package that is a third of its bytes, where its compiled modules stand in three forms beside their
 * sources. Told without a request; where one listing is missing nothing is told, and the whole is the safer guess.
 */
import type { ContentKey } from '../../unixfs/content-key.ts';
import type { LinkTable } from '../../unixfs/link-table.ts';
import type { UnixfsReader } from '../../unixfs/unixfs-reader.ts';
import { endingOf, SMALL_FILE_BYTES, upTo } from '../link-order.ts';

/** Of one directory its links that are meant. */
export interface AlikeFiles {
  readonly key: ContentKey;
  readonly table: LinkTable;
  readonly links: readonly number[];
}

/** Packages are no deeper, trees are. */
const MAX_DEPTH = 3;
/** Looked at in one turn: a millisecond or two. */
const MAX_ENTRIES = 4096;

/** Undefined where not all of it is known, or nothing in it is called so. */
export function alikeBelow(
  unixfs: Pick<UnixfsReader, 'known'>,
  key: ContentKey,
  endings: ReadonlySet<string>,
): AlikeFiles[] | undefined {
  const found: AlikeFiles[] = [];
  let entriesLeft = MAX_ENTRIES;
  const look = (directory: ContentKey, depth: number): boolean => {
    const entry = unixfs.known(directory);
    if (entry?.kind === 'file' || entry?.kind === 'symlink') return true;
    if (entry?.kind !== 'directory' || depth > MAX_DEPTH) return false;
    const { entries: table } = entry;
    entriesLeft -= table.count;
    if (entriesLeft < 0) return false;
    const links = upTo(SMALL_FILE_BYTES, table, 0).filter(
      (link) => table.isRaw(link) && endings.has(endingOf(table, link)),
    );
    if (links.length > 0) found.push({ key: directory, table, links });
    for (let link = 0; link < table.count; link++) {
      if (!table.isRaw(link) && !look(table.key(link), depth + 1)) return false;
    }
    return true;
  };
  return look(key, 1) && found.length > 0 ? found : undefined;
}
