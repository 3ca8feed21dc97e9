/**
 * Listing a directory: its entries by cursor, and what can be said of the children without keeping the reader waiting.
 *
 * A cursor is the number of entries before it, in an order that depends on content alone, so it holds however often the
 * decoded listing is evicted. With attributes, the root blocks of the children ahead are wanted all at once, and waited
 * for no longer than one time-out for a whole pass over the directory, however many calls it takes and however many
 * children are absent: then they go out as unknown. Without attributes nothing is waited for at all.
 */
import { CodedError } from '../base/errors.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import { formatCount } from '../base/units.ts';
import type { OnBlock, WantOptions } from '../blocks/block-reader.ts';
import { cidOf } from '../unixfs/content-key.ts';
import type { LinkTable } from '../unixfs/link-table.ts';
import type { UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import type { SiblingsAhead } from './ahead/siblings-ahead.ts';
import { TreeAhead } from './ahead/tree-ahead.ts';
import { entryOf } from './attributes.ts';
import type { ChildNodes, Place } from './child-nodes.ts';
import type { OnFailedRequest } from './failure-log.ts';
import type { ListedEntry, RequestContext } from './file-system.ts';
import { contentInode } from './inode-number.ts';
import type { MountedVolume } from './mounted-volume.ts';
import type { DirectoryNode, Node } from './node.ts';
import type { NodeTable } from './node-table.ts';
import { NodeWant } from './node-want.ts';

export type Fill = (entry: ListedEntry) => boolean;

/** Children waited for in one call: about what the kernel's largest usual buffer (32 KiB) holds of them. */
const WAITED_FOR = 256;
/** Children's blocks on their way beyond those that are waited for. */
const WANTED_AHEAD = 2048;

export class DirectoryLister {
  readonly #unixfs: UnixfsReader;
  readonly #nodes: NodeTable;
  readonly #children: ChildNodes;
  readonly #now: () => number;
  readonly #treeAhead: TreeAhead;
  readonly #siblingsAhead: SiblingsAhead;
  readonly #onFailed: OnFailedRequest;
  #ahead = 0;

  /** `now` is a clock in milliseconds that never goes back. `onFailed` is told of children that were waited for in vain. */
  constructor(
    unixfs: UnixfsReader,
    nodes: NodeTable,
    children: ChildNodes,
    siblingsAhead: SiblingsAhead,
    now: () => number,
    onFailed: OnFailedRequest,
  ) {
    this.#onFailed = onFailed;
    this.#unixfs = unixfs;
    this.#nodes = nodes;
    this.#children = children;
    this.#now = now;
    this.#treeAhead = new TreeAhead(unixfs, nodes);
    this.#siblingsAhead = siblingsAhead;
  }

  list(
    directory: DirectoryNode,
    cursor: number,
    withAttributes: boolean,
    fill: Fill,
    context: RequestContext,
  ): MaybePromise<void> {
    const { timeoutMs } = directory.volume.spec;
    const listing = this.#unixfs.list(
      directory.key,
      new NodeWant('demand', timeoutMs, context, this.#now, directory.volume.account),
    );
    return chain(listing, (table) => {
      if (cursor === 0) {
        this.#treeAhead.onList(directory);
        this.#siblingsAhead.onDirectory(directory, table);
      }
      if (!withAttributes) return this.#fill(directory, table, cursor, cursor, false, fill);
      const now = this.#now();
      // A pass begins at 0; one that was restored in the middle begins where it is.
      if (cursor === 0 || directory.childrenDeadlineMs === 0) directory.childrenDeadlineMs = now + timeoutMs;
      const end = Math.min(table.count, cursor + WAITED_FOR);
      const leftMs = directory.childrenDeadlineMs - now;
      // Nodes are made as their blocks arrive, so that a window of large children may pass through a small cache.
      const made: Node[] = [];
      const account: OnBlock = (cid, bytes, how) => directory.volume.account(cid, bytes, { ...how, awaited: true });
      const want = new NodeWant('metadata', leftMs, context, this.#now, account);
      const missing: unknown[] = [];
      const pending = leftMs > 0 ? this.#want(directory, table, cursor, end, want, made, missing) : [];
      const fillAll = () => {
        this.#fill(directory, table, cursor, end, true, fill);
        for (const node of made) this.#nodes.dropUnused(node);
      };
      if (pending.length === 0) return fillAll();
      this.#wantAhead(table, end, directory.volume);
      return Promise.all(pending).then(() => {
        if (!context.signal.aborted) {
          this.#tellMissing(directory, missing);
          return fillAll();
        }
        for (const node of made) this.#nodes.dropUnused(node);
        throw new CodedError('ABORTED', 'nobody waits for the listing any more');
      });
    });
  }

  /** `known` is where entries end whose blocks were asked for already: what is not here of those will not be tried again. */
  #fill(
    directory: DirectoryNode,
    table: LinkTable,
    cursor: number,
    known: number,
    withAttributes: boolean,
    fill: Fill,
  ): void {
    const { id: parent, volume } = directory;
    const late: WantOptions = { priority: 'metadata', timeoutMs: volume.spec.timeoutMs, account: volume.account };
    for (let link = cursor; link < table.count; link++) {
      const name = table.name(link);
      if (!withAttributes && table.isRaw(link)) {
        // No node is made for a mere name; its number is told where it has one.
        const node = this.#nodes.content(volume.owner, table.key(link), table.size(link));
        const inode = contentInode(table.key(link));
        if (!fill({ name, kind: 'file', node: node?.id ?? 0, inode, entry: undefined, nextCursor: link + 1 })) return;
        continue;
      }
      if (link >= known) this.#tryEntry(table, link, late);
      const place: Place = { parent, name, volume };
      const node = this.#children.listed(place, table.key(link), table.size(link));
      const taken = fill({
        name,
        kind: node?.appearance.kind,
        node: node?.id ?? 0,
        inode: node ? this.#nodes.inode(node) : 0,
        entry: node && withAttributes ? entryOf(this.#nodes, node, false) : undefined,
        nextCursor: link + 1,
      });
      if (node && taken && withAttributes) this.#nodes.count(node);
      else if (node) this.#nodes.dropUnused(node);
      if (!taken) return;
    }
  }

  /**
   * Asks for the blocks of `from`..`to` that say what a child is; resolved, never rejected, where one must be waited for. The
   * reasons why some did not come are added to `missing`.
   */
  #want(
    directory: DirectoryNode,
    table: LinkTable,
    from: number,
    to: number,
    want: WantOptions,
    made: Node[],
    missing: unknown[],
  ): Promise<unknown>[] {
    const pending: Promise<unknown>[] = [];
    for (let link = from; link < to; link++) {
      const use = (found: UnixfsEntry) => {
        const place: Place = { parent: directory.id, name: table.name(link), volume: directory.volume };
        made.push(this.#children.adopt(place, table.key(link), found));
      };
      const entry = this.#entry(table, link, want, use, (error) => missing.push(error));
      if (entry) pending.push(entry);
    }
    return pending;
  }

  /** The reader gets its listing, in which nothing says why some of it is unknown. */
  #tellMissing({ key, volume }: DirectoryNode, [first, ...others]: readonly unknown[]): void {
    if (first === undefined) return;
    const more = others.length > 0 ? `, and ${formatCount(others.length, 'other')}` : '';
    this.#onFailed(volume, () => `what an entry of ${cidOf(key)} is${more}`, first);
  }

  #wantAhead(table: LinkTable, from: number, { spec, account }: MountedVolume): void {
    const want: WantOptions = { priority: 'metadata', timeoutMs: spec.timeoutMs, account };
    const end = Math.min(table.count, from + WANTED_AHEAD);
    for (let link = from; link < end && this.#ahead < WANTED_AHEAD; link++) {
      if (!table.isRaw(link) && !this.#unixfs.has(table.key(link))) this.#tryEntry(table, link, want);
    }
  }

  /** Decodes the entry where its block is here, else has it fetched behind everyone's back, within bounds. */
  #tryEntry(table: LinkTable, link: number, want: WantOptions): void {
    if (this.#ahead >= WANTED_AHEAD) return;
    const entry = this.#entry(table, link, want);
    if (!entry) return;
    this.#ahead++;
    entry.then(() => {
      this.#ahead--;
    });
  }

  /** Undefined where nothing must be waited for: the child is a raw block of known size, decoded, or malformed. */
  #entry(
    table: LinkTable,
    link: number,
    want: WantOptions,
    use: (entry: UnixfsEntry) => void = () => undefined,
    onMissing: (error: unknown) => void = () => undefined,
  ): Promise<unknown> | undefined {
    if (table.isRaw(link) && table.size(link) !== undefined) return undefined;
    try {
      const entry = this.#unixfs.entry(table.key(link), want);
      if (entry instanceof Promise) return entry.then(use).catch(onMissing);
      use(entry);
    } catch {
      // The listing goes on without this child; looking it up says what is wrong with it.
    }
    return undefined;
  }
}
