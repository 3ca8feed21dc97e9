/**
 * Runs ahead of whoever walks a tree, so that a walk costs a round trip for each level and not for each directory.
 *
 * A directory that is listed after its parent was is taken for a walk. From there on the blocks of the levels below are
 * wanted as they become known, breadth first, as `metadata`. An allowance bounds how far that goes beyond the walker: each
 * directory that it lists renews it, so a walk that ends leaves no more than that on its way. What is here already is
 * looked into for what is below it, a few at a time: a tree that is here as a whole is none of our business.
 *
 * The allowance begins small, and doubles with each directory that is the next one of its parent, as those of a walk are.
 * An interpreter that lists the packages it imports skips some, and is back at the beginning each time; a walk in an order
 * of its own has a share of what it listed so far.
 */
import type { WantOptions } from '../../blocks/block-reader.ts';
import type { ContentKey } from '../../unixfs/content-key.ts';
import type { LinkTable } from '../../unixfs/link-table.ts';
import type { UnixfsEntry } from '../../unixfs/unixfs-entry.ts';
import type { UnixfsReader } from '../../unixfs/unixfs-reader.ts';
import type { NodeId } from '../file-system.ts';
import type { MountedVolume } from '../mounted-volume.ts';
import { type DirectoryNode, isDirectory } from '../node.ts';
import type { NodeTable } from '../node-table.ts';
import { SharedBound } from '../shared-bound.ts';
import { PerVolume } from './per-volume.ts';
import { SharedLatest } from './shared-latest.ts';

const FIRST_ALLOWANCE = 8;
/** Of all directories that a walk listed, whatever their order: none that goes on stays at the beginning. */
const ALLOWANCE_BY_LISTINGS = 1 / 4;
/** "A few thousand blocks ahead": enough for any link, little to have fetched for nothing. */
const MAX_ALLOWANCE = 2048;
/** On their way at once: fills the path to a source (its window has 256), and the walker's own wants stand behind no more. */
const MAX_OUTSTANDING = 384;
/** Directories that are here, decoded in one turn: each costs some 50 µs where it must be read from the disk. */
const LOCAL_A_TURN = 32;
/**
 * And in a row before anything absent is met, since a tree that is here as a whole needs no looking ahead. Each listing
 * earns a few more, so that the absent parts of a tree are found before the walker is there.
 */
const LOCAL_CREDIT = 256;
const EARNED_BY_LISTING = 2;
/** Directories known and not looked into yet, over all volumes; what is beyond is found when the walker gets there. */
const MAX_PENDING = 24_576;
/** Directories remembered as listed, and as looked into, over all volumes: 15 MB at the most. */
const DIRECTORIES_KEPT = 65_536;
/** Of those that were looked into already, what a list keeps at its beginning until it is cut. */
const MAX_PASSED = 16_384;

interface Walk {
  readonly volume: MountedVolume;
  readonly want: WantOptions;
  /** Directories, and shards of them, oldest first from `next` on: that is what makes it breadth first. */
  pending: ContentKey[];
  next: number;
  /** Where in the first of them it goes on. */
  link: number;
  allowance: number;
  /** What a listing renews it to, as far as their order goes. */
  pace: number;
  listings: number;
  localCredit: number;
  outstanding: number;
}

export class TreeAhead {
  readonly #unixfs: UnixfsReader;
  readonly #nodes: NodeTable;
  /** And the link of the latest directory of each that was listed, -1 where none was. */
  readonly #listed = new Map<NodeId, number>();
  readonly #lookedInto = new SharedLatest<MountedVolume, ContentKey, true>({ maxWeight: DIRECTORIES_KEPT });
  /** Directories, not bytes. */
  readonly #pending = new SharedBound<MountedVolume>(MAX_PENDING);
  readonly #walks = new PerVolume<Walk>(walkOf, (volume, walk) => {
    this.#lookedInto.forget(volume);
    this.#pending.give(volume, walk.pending.length - walk.next);
    walk.pending = [];
    walk.next = 0;
  });

  constructor(unixfs: UnixfsReader, nodes: NodeTable) {
    this.#unixfs = unixfs;
    this.#nodes = nodes;
  }

  /** To be told of each listing that begins, once the directory itself is decoded. Waits for nothing. */
  onList(directory: DirectoryNode): void {
    if (!this.#listed.has(directory.id)) remember(this.#listed, directory.id, -1);
    const parent = this.#nodes.get(directory.parent);
    if (!directory.volume.mounted) return;
    if (!parent || !isDirectory(parent) || !this.#listed.has(parent.id)) return;
    // A program that starts lists some, as it did the last time; what it needs of them comes anyway.
    if (directory.volume.foretold?.has(directory.key)) return;
    const walk = this.#walks.get(directory.volume);
    walk.listings++;
    walk.pace = this.#isNext(directory, parent) ? Math.min(MAX_ALLOWANCE, 2 * walk.pace) : FIRST_ALLOWANCE;
    walk.allowance = Math.max(walk.pace, Math.min(MAX_ALLOWANCE, walk.listings * ALLOWANCE_BY_LISTINGS));
    walk.localCredit = Math.min(LOCAL_CREDIT, walk.localCredit + EARNED_BY_LISTING);
    this.#remember(walk, parent.key);
    this.#remember(walk, directory.key);
    this.#run(walk);
  }

  /** No directory stands between it and the latest one of `parent`. So it is taken for where that cannot be told. */
  #isNext(directory: DirectoryNode, parent: DirectoryNode): boolean {
    const entry = this.#unixfs.known(parent.key);
    if (entry?.kind !== 'directory') return true;
    const link = entry.entries.indexOf(Buffer.from(directory.name, 'latin1'));
    const latest = this.#listed.get(parent.id) ?? -1;
    this.#listed.set(parent.id, link);
    if (link <= latest) return false;
    for (let between = latest + 1; between < link; between++) {
      if (entry.entries.isRaw(between)) continue;
      const other = this.#unixfs.known(entry.entries.key(between));
      if (other && isTree(other)) return false;
    }
    return true;
  }

  /** Has a directory looked into, once. */
  #remember(walk: Walk, key: ContentKey): void {
    // What was on its way comes also when the volume is no more.
    if (!walk.volume.mounted || this.#lookedInto.has(walk.volume, key)) return;
    if (!this.#pending.hasRoom(walk.volume)) return;
    this.#lookedInto.set(walk.volume, key, true);
    this.#pending.take(walk.volume, 1);
    walk.pending.push(key);
  }

  #run(walk: Walk): void {
    const budget = { local: LOCAL_A_TURN };
    while (walk.next < walk.pending.length && walk.volume.mounted) {
      const links = this.#linksOf(walk.pending[walk.next] as ContentKey);
      if (links && !this.#lookInto(walk, links, budget)) break;
      walk.next++;
      walk.link = 0;
      this.#pending.give(walk.volume, 1);
    }
    if (walk.next > MAX_PASSED || walk.next === walk.pending.length) {
      walk.pending = walk.pending.slice(walk.next);
      walk.next = 0;
    }
  }

  /** Wants what is below and not here; false where it must go on later. */
  #lookInto(walk: Walk, links: LinkTable, budget: { local: number }): boolean {
    for (; walk.link < links.count; walk.link++) {
      if (links.isRaw(walk.link)) continue;
      const key = links.key(walk.link);
      const known = this.#unixfs.known(key);
      if (known) {
        // As the children of whatever was listed are.
        if (isTree(known)) this.#remember(walk, key);
      } else if (this.#unixfs.has(key)) {
        if (budget.local-- <= 0 || walk.localCredit <= 0) return false;
        walk.localCredit--;
        this.#fetch(walk, key);
      } else {
        if (walk.allowance <= 0 || walk.outstanding >= MAX_OUTSTANDING) return false;
        walk.allowance--;
        walk.localCredit = LOCAL_CREDIT;
        this.#fetch(walk, key);
      }
    }
    return true;
  }

  /** Now where it is here, else when it comes. What fails is told to the walker, should it get there. */
  #fetch(walk: Walk, key: ContentKey): void {
    const came = (entry: UnixfsEntry): void => {
      if (isTree(entry)) this.#remember(walk, key);
    };
    try {
      const entry = this.#unixfs.entry(key, walk.want);
      if (!(entry instanceof Promise)) {
        came(entry);
        return;
      }
      walk.outstanding++;
      entry
        .then(came, () => undefined)
        .finally(() => {
          walk.outstanding--;
          this.#run(walk);
        });
    } catch {
      // As above.
    }
  }

  /** Undefined where it was pushed out of memory meanwhile: then it is looked into when the walker gets there. */
  #linksOf(key: ContentKey): LinkTable | undefined {
    const entry = this.#unixfs.known(key);
    if (entry?.kind === 'directory') return entry.entries;
    return entry?.kind === 'shard' ? entry.shard.links : undefined;
  }
}

function walkOf(volume: MountedVolume): Walk {
  const { spec, account } = volume;
  return {
    volume,
    want: { priority: 'metadata', timeoutMs: spec.timeoutMs, account },
    pending: [],
    next: 0,
    link: 0,
    allowance: 0,
    pace: FIRST_ALLOWANCE,
    listings: 0,
    localCredit: LOCAL_CREDIT,
    outstanding: 0,
  };
}

function isTree({ kind }: UnixfsEntry): boolean {
  return kind === 'directory' || kind === 'shard';
}

function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.set(key, value);
  if (map.size <= DIRECTORIES_KEPT) return;
  const [oldest] = map.keys();
  map.delete(oldest as K);
}
