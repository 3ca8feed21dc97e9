/**
 * Which entries of a directory are worth bringing ahead beside one that was waited for, and in which order; told from its
 * links alone, whose sizes are claims.
 */
import type { LinkTable } from '../unixfs/link-table.ts';

/** What is larger is read in parts, if at all: libraries, archives, images. */
export const SMALL_FILE_BYTES = 256 * 1024;
/** What the root block of a directory, or of a file that is not a raw block, is taken for at the most. */
const INNER_BYTES = 32 * 1024;

/** Links of blocks of no more than `most` bytes: from `start` to the end, and then from the first. */
export function upTo(most: number, table: LinkTable, start: number): number[] {
  const links: number[] = [];
  for (let step = 0; step < table.count; step++) {
    const link = (start + step) % table.count;
    if (blockBytes(table, link) <= most) links.push(link);
  }
  return links;
}

/** What the link's own block measures: of a raw one its link says it, of others it says what is below, too. */
export function blockBytes(table: LinkTable, link: number): number {
  const size = table.size(link) ?? Number.POSITIVE_INFINITY;
  return table.isRaw(link) ? size : Math.min(size, INNER_BYTES);
}

/** What follows a name's first dot: `cpython-311.pyc` is not `cpython-311.opt-1.pyc`. */
export function endingOf(table: LinkTable, link: number): string {
  const name = Buffer.from(table.name(link)).toString('latin1');
  const dot = name.indexOf('.', 1);
  return dot < 0 ? '' : name.slice(dot);
}

/**
 * From the link `from` to the end, and then from the start. `likely`: those with its ending, then those with one of
 * `endings`, and directories; `others`: files that are called otherwise.
 */
export function alikeFirst(
  table: LinkTable,
  from: number,
  endings: ReadonlySet<string>,
): { readonly likely: readonly number[]; readonly others: readonly number[] } {
  const own = endingOf(table, from);
  // Who reads a larger one reads others of its size.
  const most = Math.max(SMALL_FILE_BYTES, blockBytes(table, from));
  const groups = Map.groupBy(upTo(most, table, from + 1), (link) => {
    const ending = endingOf(table, link);
    if (ending === own) return 'own';
    return endings.has(ending) || !table.isRaw(link) ? 'likely' : 'other';
  });
  const group = (name: 'own' | 'likely' | 'other') => groups.get(name) ?? [];
  return { likely: [...group('own'), ...group('likely')], others: group('other') };
}

export function smallestFirst(table: LinkTable): number[] {
  return upTo(SMALL_FILE_BYTES, table, 0).sort((one, other) => (table.size(one) ?? 0) - (table.size(other) ?? 0));
}

/** All that stands in a directory, and its own block, as its links claim; what is beyond `most` is not counted to the end. */
export function totalBytes(table: LinkTable, most: number): number {
  let bytes = table.bytes.length;
  for (let link = 0; link < table.count && bytes <= most; link++) bytes += table.size(link) ?? Number.POSITIVE_INFINITY;
  return bytes;
}
