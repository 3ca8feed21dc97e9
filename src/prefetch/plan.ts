/**
 * The order in which a volume's blocks are brought: directory metadata breadth first (with the root block of each file that
 * has one of its own, since it says what the entry is), then small files, then large ones, each in the order of the tree.
 *
 * A plan knows nothing of networks: it hands out blocks and is told what they hold. What always holds: each block is handed
 * out once, however often the tree has it, but for one that is a leaf in one place and a node in another. What waits is written
 * down nowhere: the plan goes through the directories once for each stage, and asks for each of them `again`, which is here by
 * then. So it takes 40 bytes a directory, and of a block its place in the set of those that were met.
 */
import { FingerprintSet, PRESENT } from '../blocks/fingerprint-set.ts';
import { CODEC_DAG_PB, type ContentKey, codecOf, isInline } from '../unixfs/content-key.ts';
import type { FileChildren } from '../unixfs/file-node.ts';
import { type HamtShard, isSubShard } from '../unixfs/hamt-shard.ts';
import type { LinkTable } from '../unixfs/link-table.ts';
import type { UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import { KeyList } from './key-list.ts';
import { START_ENTRY } from './shipped-profile.ts';

/** One block of today's importers: programs, scripts, settings. What is larger is read in parts, and can wait. */
const SMALL_FILE_BYTES = 1024 * 1024;

export interface PlannedBlock {
  readonly key: ContentKey;
  /** What its parent claims; NaN where that says nothing. */
  readonly claimedBytes: number;
  /** What it is likely to measure, where no parent says so: nothing is counted by it. */
  readonly expectedBytes?: number | undefined;
  /** It leads to others, and the plan is to be told of it (`open`). False for what is nothing but bytes. */
  readonly inner: boolean;
  /** It was handed out before, and is only to be opened once more. */
  readonly again?: boolean;
  /** 0 for metadata, 1 for small files, 2 for large ones. */
  readonly stage: 0 | 1 | 2;
}

/** Blocks that a source may send in one answer: all below one node, which itself is not wanted. */
export interface PlannedGroup {
  readonly node: ContentKey;
  readonly blocks: readonly ContentKey[];
  /** What they measure together, as far as is known. */
  readonly expectedBytes: number;
  /** They may come by themselves until this is over, which never rejects. */
  readonly after: Promise<unknown> | undefined;
  /** To be called once they came, or will not in this way: the plan hands them out one by one. */
  readonly over: () => void;
}

/** What a `Fill` works through. */
export interface BlockPlan {
  /** What the leaves handed out and still to come claim to measure; NaN where one of them claims nothing. */
  readonly claimedBytes: number;
  /** True once every directory and every file's root was handed out: then `claimedBytes` grows no more. */
  readonly metadataDone: boolean;
  /** The next block, or group of blocks; undefined where nothing is left, or nothing before what is out was opened, or is over. */
  next(): PlannedBlock | PlannedGroup | undefined;
  /** Takes note of what the inner `block` holds; without `entry` that could not be had. */
  open(block: PlannedBlock, entry?: UnixfsEntry): void;
}

const START_NAME = Buffer.from(START_ENTRY);
/** Inner nodes of files on their way at once: hides the round trip for each, and keeps to the files' order. */
const MAX_INNER_OUT = 4;

/**
 * Marks of a block: its claim is counted; it was handed out; its children are still to be, as those of a file of that size; it
 * was handed out as what leads to others, which those that were met as a leaf before were not (a profile's groups have inner
 * nodes of files for leaves). `PRESENT` is not ours.
 */
const COUNTED = PRESENT << 1;
const HANDED_OUT = PRESENT << 2;
const SMALL = PRESENT << 3;
const LARGE = PRESENT << 4;
const NODE = PRESENT << 5;

export class Plan implements BlockPlan {
  readonly #root: ContentKey;
  /** Its leaves are blocks that stand elsewhere in the tree, and are counted there. */
  #startFile: ContentKey | undefined;
  #marks: FingerprintSet;
  /** The same of what is content itself: its end is no digest. */
  readonly #inline = new Map<ContentKey, number>();
  /** Directories, and shards of them, breadth first. */
  readonly #directories = new KeyList();
  #stage: PlannedBlock['stage'] = 0;
  /** The directory that is gone through, and how far; or the one that was asked for again for it. */
  #links: LinkTable | undefined;
  #shard: HamtShard | undefined;
  #link = 0;
  #awaited: PlannedBlock | undefined;
  /** Metadata that comes next: looked for ahead, or nobody could say that it was the last. */
  #metadata: PlannedBlock | undefined;
  #metadataOut = 0;
  /** Of the file being opened, first child last. */
  readonly #stack: PlannedBlock[] = [];
  #innerOut = 0;
  #claimedBytes = 0;

  /** `marks`: where nobody else uses any but `PRESENT`. */
  constructor(root: ContentKey, marks = new FingerprintSet()) {
    this.#marks = marks;
    this.#root = root;
    this.#isNewNode(root);
    this.#metadata = { key: root, claimedBytes: Number.NaN, inner: true, stage: 0 };
  }

  get claimedBytes(): number {
    return this.#claimedBytes;
  }

  get metadataDone(): boolean {
    return this.#stage > 0;
  }

  next(): PlannedBlock | undefined {
    if (this.#stage === 0) {
      const block = this.#metadata;
      this.#metadata = undefined;
      if (block && block !== this.#awaited) this.#metadataOut++;
      this.#lookAhead();
      return block;
    }
    if (this.#innerOut >= MAX_INNER_OUT) return undefined;
    const block = this.#stack.pop() ?? this.#nextOfFiles();
    if (block?.inner && block !== this.#awaited) this.#innerOut++;
    return block;
  }

  open(block: PlannedBlock, entry?: UnixfsEntry): void {
    if (block === this.#awaited) {
      this.#awaited = undefined;
      if (entry) this.#goThrough(entry);
    } else if (block.stage === 0) {
      this.#metadataOut--;
      if (entry) this.#met(block.key, entry);
    } else {
      this.#innerOut--;
      if (entry?.kind === 'file' && entry.file.children) this.#openInner(entry.file.children, block.stage);
    }
    if (this.#stage === 0) this.#lookAhead();
  }

  /** Nothing is handed out from it any more. What is told it late is of no use to anybody, and leaves no marks with others. */
  end(): void {
    this.#marks = new FingerprintSet();
  }

  /** Metadata was opened for the first time. */
  #met(key: ContentKey, entry: UnixfsEntry): void {
    if (entry.kind === 'directory' || entry.kind === 'shard') {
      if (key === this.#root && entry.kind === 'directory') this.#startFile = keyOf(entry.entries, START_NAME);
      this.#directories.push(key);
      // It need not be asked for again where it is its turn.
      if (this.#links || this.#awaited || this.#metadata) return;
      if (this.#directories.next() === key) this.#goThrough(entry);
    } else if (entry.kind === 'file' && entry.file.children) {
      this.#isNew(key, entry.file.sizeBytes > SMALL_FILE_BYTES ? LARGE : SMALL);
      if (key !== this.#startFile)
        forEachChild(entry.file.children, (child, sizeBytes) => this.#count(child, sizeBytes));
    }
  }

  #goThrough(entry: UnixfsEntry): void {
    this.#shard = entry.kind === 'shard' ? entry.shard : undefined;
    this.#links = entry.kind === 'directory' ? entry.entries : this.#shard?.links;
    this.#link = 0;
  }

  #lookAhead(): void {
    this.#metadata ??= this.#nextMetadata();
  }

  #nextMetadata(): PlannedBlock | undefined {
    for (; this.#links && this.#link < this.#links.count; this.#link++) {
      const links = this.#links;
      const key = links.key(this.#link);
      const sizeBytes = links.size(this.#link) ?? Number.NaN;
      const isShard = this.#shard !== undefined && isSubShard(this.#shard, this.#link);
      if (links.isRaw(this.#link) && !isShard) this.#count(key, sizeBytes);
      else if (this.#isNewNode(key)) {
        this.#link++;
        return { key, claimedBytes: isShard ? Number.NaN : sizeBytes, inner: true, stage: 0 };
      }
    }
    const directory = this.#nextDirectory();
    if (!directory && !this.#awaited && this.#metadataOut === 0) this.#begin(1);
    return directory;
  }

  #begin(stage: 1 | 2): void {
    this.#stage = stage;
    this.#directories.rewind();
    // A file that is the whole volume stands in no directory.
    this.#stackRoot(this.#root, stage);
  }

  #nextOfFiles(): PlannedBlock | undefined {
    const stage = this.#stage as 1 | 2;
    for (; this.#links && this.#link < this.#links.count; this.#link++) {
      const links = this.#links;
      const key = links.key(this.#link);
      if (!links.isRaw(this.#link)) this.#stackRoot(key, stage);
      else this.#stackLeaf(key, links.size(this.#link) ?? Number.NaN, stage);
      const block = this.#stack.pop();
      if (!block) continue;
      this.#link++;
      return block;
    }
    const directory = this.#nextDirectory();
    if (directory || this.#awaited || stage === 2) return directory;
    this.#begin(2);
    return this.#stack.pop() ?? this.#nextOfFiles();
  }

  /** Where the one before is done with. */
  #nextDirectory(): PlannedBlock | undefined {
    this.#links = undefined;
    const key = this.#awaited ? undefined : this.#directories.next();
    if (key === undefined) return undefined;
    this.#awaited = { key, claimedBytes: Number.NaN, inner: true, again: true, stage: this.#stage };
    return this.#awaited;
  }

  #stackLeaf(key: ContentKey, sizeBytes: number, stage: 1 | 2): void {
    const isLarge = sizeBytes > SMALL_FILE_BYTES;
    if (isLarge !== (stage === 2) || !this.#isNew(key, HANDED_OUT)) return;
    this.#stack.push({ key, claimedBytes: sizeBytes, inner: false, stage });
  }

  /** The root of a file of several blocks: they follow each other in the stage of its size. */
  #stackRoot(key: ContentKey, stage: 1 | 2): void {
    if (!this.#unmark(key, stage === 1 ? SMALL : LARGE)) return;
    this.#stack.push({ key, claimedBytes: Number.NaN, inner: true, again: true, stage });
  }

  #openInner(children: FileChildren, stage: 1 | 2): void {
    const below: PlannedBlock[] = [];
    forEachChild(children, (key, claimedBytes) => {
      const inner = codecOf(key) === CODEC_DAG_PB;
      if (inner ? this.#isNewNode(key) : this.#isNew(key, HANDED_OUT)) below.push({ key, claimedBytes, inner, stage });
    });
    for (const block of below.reverse()) this.#stack.push(block);
  }

  /** Of files alone: what a link claims of a directory is that of all below it. */
  #count(key: ContentKey, sizeBytes: number): void {
    if (this.#has(key, HANDED_OUT) || !this.#isNew(key, COUNTED)) return;
    this.#claimedBytes += isInline(key) ? 0 : sizeBytes;
  }

  #isNewNode(key: ContentKey): boolean {
    if (!this.#isNew(key, NODE)) return false;
    this.#isNew(key, HANDED_OUT);
    return true;
  }

  #isNew(key: ContentKey, mark: number): boolean {
    if (!isInline(key)) return this.#marks.add(key, mark);
    const marks = this.#inline.get(key) ?? 0;
    this.#inline.set(key, marks | mark);
    return (marks & mark) === 0;
  }

  #has(key: ContentKey, mark: number): boolean {
    return isInline(key) ? ((this.#inline.get(key) ?? 0) & mark) !== 0 : this.#marks.has(key, mark);
  }

  /** True where it had it. */
  #unmark(key: ContentKey, mark: number): boolean {
    if (!isInline(key)) return this.#marks.delete(key, mark);
    if (!this.#has(key, mark)) return false;
    this.#inline.set(key, (this.#inline.get(key) ?? 0) & ~mark);
    return true;
  }
}

function keyOf(links: LinkTable, name: Uint8Array): ContentKey | undefined {
  const link = links.indexOf(name);
  return link < 0 ? undefined : links.key(link);
}

function forEachChild({ links, ends }: FileChildren, visit: (key: ContentKey, sizeBytes: number) => void): void {
  // Without trust in the order or the number of the sizes.
  for (let link = 0; link < links.count; link++) {
    visit(links.key(link), (ends[link] ?? Number.NaN) - (ends[link - 1] ?? 0));
  }
}
