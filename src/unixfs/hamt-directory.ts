/**
 * Sharded directories as a whole: finding one name by the shards on its path alone, and listing all entries with the
 * shards of a level wanted together.
 *
 * A listing never shows what a look-up would not find: each entry's hash must lead to where it stands. That also bounds
 * the walk: no shard can stand in two places, so one that does, or one that is empty, ends the listing as DAG_INVALID
 * instead of letting a few blocks that link to each other pose as billions.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CodedError } from '../base/errors.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import type { ContentKey } from './content-key.ts';
import { isEntryName } from './entry-name.ts';
import { type HamtShard, hashName, isSubShard, linkInSlot, NAME_HASH_BITS, slotAt } from './hamt-shard.ts';
import type { LinkTable } from './link-table.ts';
import { LinkTableBuilder } from './link-table-builder.ts';

/** Reads and decodes the shard of that key. @throws DAG_INVALID where it is none, and what `blocks/` throws. */
export type LoadShard = (key: ContentKey) => MaybePromise<HamtShard>;

/** One link: `table.key(link)`, `table.size(link)`. */
export interface FoundLink {
  readonly table: LinkTable;
  readonly link: number;
}

/** Shards wanted at once: "a few thousand blocks ahead" fill any link without holding all of a huge level. */
const SHARDS_AT_ONCE = 4096;
/** Read from the disk in one turn: some milliseconds, which readers of other files wait. */
const SHARDS_A_TURN = 64;
/** Names hashed in one turn, at 3 µs each. A shard may have a thousand of them. */
const NAMES_A_TURN = 2048;
/** About 350 MB of listing; ten times what the largest directories in the wild hold. */
const MAX_LISTED_ENTRIES = 4 * 1024 * 1024;

/** The entry of that name, reading one shard a level; undefined where there is none. */
export function findInShards(root: HamtShard, name: Uint8Array, load: LoadShard): MaybePromise<FoundLink | undefined> {
  const hash = hashName(name);
  const descend = (shard: HamtShard, depth: number): MaybePromise<FoundLink | undefined> => {
    const slot = slotAt(hash, depth, root.bits);
    const link = slot < 0 ? -1 : linkInSlot(shard, slot);
    if (link < 0) return undefined;
    if (isSubShard(shard, link)) {
      return chain(load(shard.links.key(link)), (below) => descend(sameFanout(root, below), depth + 1));
    }
    const found = shard.links.name(link).subarray(shard.prefixLength);
    return Buffer.compare(found, name) === 0 ? { table: shard.links, link } : undefined;
  };
  return descend(root, 0);
}

/** Where a shard stands: the slots that lead to it, from itself to the root. */
interface Place {
  readonly depth: number;
  readonly slot: number;
  readonly parent: Place | undefined;
}

interface Pending {
  readonly key: ContentKey;
  readonly place: Place;
}

/** All entries, level by level, always in the same order. @throws DAG_INVALID, and what `load` throws. */
export async function listShards(root: HamtShard, load: LoadShard): Promise<LinkTable> {
  const entries = new LinkTableBuilder(root.links.count);
  const seen = new Set<ContentKey>();
  let level: Pending[] = [];
  let names = 0;
  collect(root, undefined, entries, level, seen);
  while (level.length > 0) {
    const next: Pending[] = [];
    for (let from = 0; from < level.length; from += SHARDS_AT_ONCE) {
      const batch = level.slice(from, from + SHARDS_AT_ONCE);
      const shards = await loadAll(batch, load);
      for (const [index, shard] of shards.entries()) {
        if (shard.links.count === 0) throw invalid('an empty shard');
        collect(sameFanout(root, shard), (batch[index] as Pending).place, entries, next, seen);
        names += shard.links.count;
        if (names < NAMES_A_TURN) continue;
        names = 0;
        await nextTurn();
      }
    }
    level = next;
  }
  return entries.build();
}

/** All wanted at once, but for the turns of others between those that are on this machine, which are read on the spot. */
async function loadAll(batch: readonly Pending[], load: LoadShard): Promise<HamtShard[]> {
  const shards: MaybePromise<HamtShard>[] = [];
  let readHere = 0;
  for (const { key } of batch) {
    const shard = load(key);
    shards.push(shard);
    // One that fails while others are still asked for is nobody's yet.
    if (shard instanceof Promise) shard.catch(() => undefined);
    else if (++readHere % SHARDS_A_TURN === 0) await nextTurn();
  }
  return Promise.all(shards);
}

function collect(
  shard: HamtShard,
  place: Place | undefined,
  entries: LinkTableBuilder,
  below: Pending[],
  seen: Set<ContentKey>,
): void {
  const depth = place ? place.depth + 1 : 0;
  for (let link = 0; link < shard.links.count; link++) {
    const here: Place = { depth, slot: shard.slots[link] as number, parent: place };
    if (isSubShard(shard, link)) {
      const key = shard.links.key(link);
      if ((depth + 2) * shard.bits > NAME_HASH_BITS) throw invalid('deeper than the hash of a name');
      if (seen.has(key)) throw invalid('one shard in two places');
      seen.add(key);
      below.push({ key, place: here });
    } else {
      const start = shard.links.nameStart(link) + shard.prefixLength;
      const end = shard.links.nameEnd(link);
      if (!standsRight(shard.links.bytes.subarray(start, end), here, shard.bits))
        throw invalid('an entry out of place');
      if (!isEntryName(shard.links.bytes, start, end)) continue;
      if (entries.count === MAX_LISTED_ENTRIES) throw invalid(`more than ${MAX_LISTED_ENTRIES} entries`);
      shard.links.copyTo(entries, link, shard.prefixLength);
    }
  }
}

function standsRight(name: Uint8Array, place: Place, bits: number): boolean {
  const hash = hashName(name);
  for (let at: Place | undefined = place; at; at = at.parent) {
    if (slotAt(hash, at.depth, bits) !== at.slot) return false;
  }
  return true;
}

function sameFanout(root: HamtShard, shard: HamtShard): HamtShard {
  if (shard.bits !== root.bits) throw invalid('shards of different fanout');
  return shard;
}

function invalid(what: string): CodedError {
  return new CodedError('DAG_INVALID', `not a sharded directory: ${what}`);
}
