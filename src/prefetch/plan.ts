/**
 * The order in which a volume's blocks are brought: directory metadata breadth first (with the root block of each file that
 * has one of its own, since it says what the entry is), then small files, then large ones, each in the order of the tree.
 *
 * A plan knows nothing of networks: it hands out blocks and is told what they hold. What always holds: each block is handed
 * out once, however often the tree has it, and what waits is kept in some 50 bytes an entry.
 */
import { FingerprintSet } from '../blocks/fingerprint-set.ts';
import { CODEC_DAG_PB, type ContentKey, codecOf, isInline } from '../unixfs/content-key.ts';
import { isSubShard } from '../unixfs/hamt-shard.ts';
import type { LinkTable } from '../unixfs/link-table.ts';
import type { UnixfsEntry } from '../unixfs/unixfs-entry.ts';
import { KeyQueue } from './key-queue.ts';

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
  /** 0 for metadata, 1 for small files, 2 for large ones. */
  readonly stage: 0 | 1 | 2;
}

/** What a `Fill` works through. */
export interface BlockPlan {
  /** What the leaves handed out and still queued claim to measure; NaN where one of them claims nothing. */
  readonly claimedBytes: number;
  /** True once every directory and every file's root was handed out: then `claimedBytes` grows no more. */
  readonly metadataDone: boolean;
  /** The next block; undefined where nothing is left, or nothing before an inner block that is out was opened. */
  next(): PlannedBlock | undefined;
  /** Takes note of what the inner `block` holds; without `entry` that could not be had. */
  open(block: PlannedBlock, entry?: UnixfsEntry): void;
}

/** Inner nodes of files on their way at once: hides the round trip for each, and keeps to the files' order. */
const MAX_INNER_OUT = 4;

export class Plan implements BlockPlan {
  readonly #seen = new FingerprintSet();
  readonly #metadata = new KeyQueue();
  readonly #small = new KeyQueue();
  readonly #large = new KeyQueue();
  /** Of the file being opened, first child last. */
  readonly #stack: PlannedBlock[] = [];
  readonly #inline = new Set<ContentKey>();
  #metadataOut = 0;
  #innerOut = 0;
  #claimedBytes = 0;

  constructor(root: ContentKey) {
    this.#push(this.#metadata, root, Number.NaN);
  }

  get claimedBytes(): number {
    return this.#claimedBytes;
  }

  get metadataDone(): boolean {
    return this.#metadata.size === 0 && this.#metadataOut === 0;
  }

  next(): PlannedBlock | undefined {
    const meta = this.#metadata.shift();
    if (meta) {
      this.#metadataOut++;
      return { key: meta.key, claimedBytes: meta.sizeBytes, inner: true, stage: 0 };
    }
    // Files wait for the last of the metadata: it may yet lead to small ones.
    if (this.#metadataOut > 0 || this.#innerOut >= MAX_INNER_OUT) return undefined;
    const block = this.#stack.pop() ?? this.#queued(this.#small, 1) ?? this.#queued(this.#large, 2);
    if (block?.inner) this.#innerOut++;
    return block;
  }

  open(block: PlannedBlock, entry?: UnixfsEntry): void {
    if (block.stage === 0) this.#metadataOut--;
    else this.#innerOut--;
    if (!entry) return;
    switch (entry.kind) {
      case 'directory':
        for (let link = 0; link < entry.entries.count; link++) this.#child(entry.entries, link);
        break;
      case 'shard': {
        const { links } = entry.shard;
        for (let link = 0; link < links.count; link++) {
          if (isSubShard(entry.shard, link)) this.#push(this.#metadata, links.key(link), Number.NaN);
          else this.#child(links, link);
        }
        break;
      }
      case 'file':
        if (block.stage === 0) this.#openRoot(entry.file.children, entry.file.sizeBytes);
        else this.#openInner(entry.file.children, block.stage);
        break;
      default:
    }
  }

  #child(links: LinkTable, link: number): void {
    const sizeBytes = links.size(link) ?? Number.NaN;
    const key = links.key(link);
    if (!links.isRaw(link)) this.#push(this.#metadata, key, sizeBytes);
    else this.#push(sizeBytes > SMALL_FILE_BYTES ? this.#large : this.#small, key, sizeBytes);
  }

  /** The children of a file's root, in order: they follow each other in the queue of its size. */
  #openRoot(children: Children | undefined, fileBytes: number): void {
    if (!children) return;
    const queue = fileBytes > SMALL_FILE_BYTES ? this.#large : this.#small;
    forEachChild(children, (key, sizeBytes) => this.#push(queue, key, sizeBytes));
  }

  #openInner(children: Children | undefined, stage: 1 | 2): void {
    if (!children) return;
    const below: PlannedBlock[] = [];
    forEachChild(children, (key, sizeBytes) => {
      if (this.#isNew(key)) below.push(this.#planned(key, sizeBytes, stage));
    });
    for (const block of below.reverse()) this.#stack.push(block);
  }

  #push(queue: KeyQueue, key: ContentKey, sizeBytes: number): void {
    if (!this.#isNew(key)) return;
    queue.push(key, sizeBytes);
    // Of files alone: what a link claims of a directory is that of all below it.
    if (queue !== this.#metadata) this.#claimedBytes += isInline(key) ? 0 : sizeBytes;
  }

  #isNew(key: ContentKey): boolean {
    if (!isInline(key)) return this.#seen.add(key);
    // Its end is content and not a digest.
    if (this.#inline.has(key)) return false;
    this.#inline.add(key);
    return true;
  }

  #queued(queue: KeyQueue, stage: 1 | 2): PlannedBlock | undefined {
    const queued = queue.shift();
    return queued && this.#planned(queued.key, queued.sizeBytes, stage);
  }

  #planned(key: ContentKey, claimedBytes: number, stage: 1 | 2): PlannedBlock {
    return { key, claimedBytes, inner: codecOf(key) === CODEC_DAG_PB, stage };
  }
}

interface Children {
  readonly links: LinkTable;
  readonly ends: Float64Array;
}

function forEachChild({ links, ends }: Children, visit: (key: ContentKey, sizeBytes: number) => void): void {
  // Without trust in the order or the number of the sizes.
  for (let link = 0; link < links.count; link++) {
    visit(links.key(link), (ends[link] ?? Number.NaN) - (ends[link - 1] ?? 0));
  }
}
