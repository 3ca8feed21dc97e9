/**
 * The entries of a directory that stands in one block: its links but for those whose names can't be names, and of
 * equal names the first alone.
 */
import { isEntryName } from './entry-name.ts';
import type { LinkTable } from './link-table.ts';

/** `links` itself where all of them are fine, as they nearly always are. */
export function entriesOf(links: LinkTable): LinkTable {
  let allNamed = true;
  for (let link = 0; allNamed && link < links.count; link++) allNamed = isNamed(links, link);
  if (allNamed && links.sorted) return links;

  const refused = new Set<number>();
  const order = links.byName();
  for (let at = 0; at < order.length; at++) {
    const link = order[at] as number;
    // Equal names stand together, in the order of the links.
    if (!isNamed(links, link) || (at > 0 && links.compare(order[at - 1] as number, link) === 0)) refused.add(link);
  }
  if (refused.size === 0) return links;
  const kept: number[] = [];
  for (let link = 0; link < links.count; link++) if (!refused.has(link)) kept.push(link);
  return links.select(kept);
}

function isNamed(links: LinkTable, link: number): boolean {
  return isEntryName(links.bytes, links.nameStart(link), links.nameEnd(link));
}
