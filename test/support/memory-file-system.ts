/**
 * A `FileSystem` in memory, made from a plain tree: what the transports are tested over.
 *
 * It can be told to be slow, absent or broken in chosen places, and counts look-ups, so that a test can see what the
 * kernel holds.
 */
import { CodedError, type ErrorCode } from '../../src/base/errors.ts';
import type { MaybePromise } from '../../src/base/maybe-promise.ts';
import {
  type Attributes,
  type Entry,
  type FileSystem,
  type FileSystemStatistics,
  type ListedEntry,
  type NodeId,
  type NodeKind,
  type RequestContext,
  ROOT_NODE,
} from '../../src/fs/file-system.ts';

/** What a tree is written as: a directory is an object, a file its bytes; what is neither has a key that begins with $. */
export type Tree = { readonly [name: string]: Leaf | Tree };

export type Leaf =
  | string
  | Uint8Array
  | { readonly $link: string }
  /** A file of this size whose bytes are `patternByte(offset)`. */
  | { readonly $sparse: number }
  /** A file whose bytes `read` gives; `pieces` when they come. */
  | {
      readonly size: number;
      readonly $read: (offset: number, length: number, signal: () => AbortSignal) => MaybePromise<Uint8Array[]>;
    }
  /** A name whose look-up waits until it is aborted or `arrive` is called. */
  | { readonly $absent: true }
  /** A name whose look-up fails. */
  | { readonly $error: ErrorCode };

const LEAF_KEYS = ['$link', '$sparse', '$read', '$absent', '$error'];

interface MemoryNode {
  readonly id: NodeId;
  readonly leaf: Leaf | undefined;
  readonly children: Map<string, MemoryNode> | undefined;
  lookups: number;
}

/** The byte at `offset` of a sparse file: differs between neighbouring pages, megabytes and gigabytes. */
export function patternByte(offset: number): number {
  return (
    (offset ^ Math.floor(offset / 4096) ^ (Math.floor(offset / 2 ** 20) * 3) ^ (Math.floor(offset / 2 ** 32) * 7)) &
    0xff
  );
}

/** Bytes `offset`..`offset + length` of such a file. */
export function patternBytes(offset: number, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => patternByte(offset + index)));
}

export class MemoryFileSystem implements FileSystem {
  readonly extendedAttributes: boolean;
  /** Requests given up by their signal. */
  aborted = 0;
  /** Requests that wait for what is absent. */
  waiting = 0;
  /** READs that reached us, by node. */
  readonly reads: Array<{ node: NodeId; offset: number; length: number }> = [];
  /** What the kernel is asked to forget, whenever it can be asked. */
  toForget: readonly NodeId[] = [];
  readonly #nodes = new Map<NodeId, MemoryNode>();
  readonly #arrivals = new Set<() => void>();
  #nextId = ROOT_NODE;
  #root: MemoryNode;

  constructor(tree: Tree, options: { extendedAttributes?: boolean } = {}) {
    this.extendedAttributes = options.extendedAttributes ?? false;
    this.#root = this.#build(tree);
  }

  /** Adds or replaces a name of the root. */
  setRootName(name: string, tree: Tree | Leaf): void {
    this.#root.children?.set(name, this.#build(tree));
  }

  removeRootName(name: string): void {
    this.#root.children?.delete(name);
  }

  /** Lets everything that waits for absent content go on: it is there now. */
  arrive(): void {
    for (const arrival of this.#arrivals) arrival();
    this.#arrivals.clear();
  }

  /** Look-ups that the kernel holds, of all nodes but the root. */
  get lookups(): number {
    let sum = 0;
    for (const node of this.#nodes.values()) sum += node.lookups;
    return sum;
  }

  lookup(parent: NodeId, name: Uint8Array, context: RequestContext): MaybePromise<Entry> {
    if (name.length > 255) throw new CodedError('NAME_TOO_LONG', 'name too long');
    const child = this.#directory(parent).get(Buffer.from(name).toString('utf8'));
    if (!child) throw new CodedError('ENTRY_NOT_FOUND', `no ${Buffer.from(name).toString('utf8')}`);
    const found = (): Entry => {
      child.lookups++;
      return this.#entry(parent, child);
    };
    if (has(child.leaf, '$error')) throw new CodedError(child.leaf.$error, 'told to fail');
    return has(child.leaf, '$absent') ? this.#wait(context, found) : found();
  }

  forget(id: NodeId, count: number): void {
    const node = this.#nodes.get(id);
    if (node && id !== ROOT_NODE) node.lookups -= count;
  }

  surplus(): readonly NodeId[] {
    return this.toForget;
  }

  attributes(id: NodeId): Attributes {
    return this.#attributes(this.#node(id));
  }

  readLink(id: NodeId): Uint8Array {
    const { leaf } = this.#node(id);
    if (!has(leaf, '$link')) throw new CodedError('NOT_A_SYMLINK', 'no link');
    return Buffer.from(leaf.$link);
  }

  read(id: NodeId, offset: number, length: number, context: RequestContext): MaybePromise<readonly Uint8Array[]> {
    const node = this.#node(id);
    if (node.children) throw new CodedError('IS_A_DIRECTORY', 'a directory');
    this.reads.push({ node: id, offset, length });
    const { leaf } = node;
    const due = Math.max(0, Math.min(length, this.#attributes(node).sizeBytes - offset));
    if (has(leaf, '$read')) {
      const pieces = leaf.$read(offset, due, () => context.signal);
      return pieces;
    }
    if (has(leaf, '$sparse')) {
      return [patternBytes(offset, due)];
    }
    const bytes = typeof leaf === 'string' ? Buffer.from(leaf) : leaf instanceof Uint8Array ? leaf : Buffer.alloc(0);
    return [bytes.subarray(offset, offset + due)];
  }

  list(
    id: NodeId,
    cursor: number,
    withAttributes: boolean,
    fill: (entry: ListedEntry) => boolean,
    context: RequestContext,
  ): MaybePromise<void> {
    const children = [...this.#directory(id)];
    const run = (): void => {
      for (let index = cursor; index < children.length; index++) {
        const [name, child] = children[index] as [string, MemoryNode];
        const unknown = has(child.leaf, '$absent') || has(child.leaf, '$error');
        const taken = fill({
          name: Buffer.from(name),
          kind: unknown ? undefined : kindOf(child),
          node: unknown ? 0 : child.id,
          inode: unknown ? 0 : child.id,
          entry: withAttributes && !unknown ? this.#entry(id, child) : undefined,
          nextCursor: index + 1,
        });
        if (!taken) return;
        if (withAttributes && !unknown) child.lookups++;
      }
    };
    return children.some(([name]) => name === HANGING_LISTING) ? this.#wait(context, run) : run();
  }

  getExtendedAttribute(id: NodeId, name: string): Uint8Array {
    if (name !== 'user.ipfs.cid') throw new CodedError('NO_ATTRIBUTE', name);
    return Buffer.from(`node-${this.#node(id).id}`);
  }

  listExtendedAttributes(id: NodeId): readonly string[] {
    return this.#node(id).id === ROOT_NODE ? [] : ['user.ipfs.cid'];
  }

  statistics(): FileSystemStatistics {
    return { blockSize: 4096, totalBytes: 8 * 2 ** 40, fileCount: 12_345 };
  }

  /** Waits for `arrive`, or rejects when the request is given up. */
  #wait<T>(context: RequestContext, value: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.waiting++;
    const arrival = (): void => resolve(value());
    this.#arrivals.add(arrival);
    context.signal.addEventListener('abort', () => {
      this.#arrivals.delete(arrival);
      this.aborted++;
      reject(new CodedError('ABORTED', 'given up'));
    });
    return promise.finally(() => {
      this.waiting--;
    });
  }

  /** For `read` of a leaf: bytes that never come, unless `arrive` is called. */
  readonly never = (_offset: number, length: number, signal: () => AbortSignal): Promise<Uint8Array[]> =>
    this.#wait({ signal: signal() }, () => [Buffer.alloc(length, 'x')]);

  #build(tree: Tree | Leaf): MemoryNode {
    const id = this.#nextId++;
    const node: MemoryNode = isLeaf(tree)
      ? { id, leaf: tree, children: undefined, lookups: 0 }
      : { id, leaf: undefined, children: new Map(), lookups: 0 };
    this.#nodes.set(id, node);
    if (!isLeaf(tree)) {
      for (const [name, child] of Object.entries(tree)) node.children?.set(name, this.#build(child));
    }
    return node;
  }

  #node(id: NodeId): MemoryNode {
    const node = this.#nodes.get(id);
    if (!node) throw new CodedError('BAD_HANDLE', `no node ${id}`);
    return node;
  }

  #directory(id: NodeId): Map<string, MemoryNode> {
    const { children } = this.#node(id);
    if (!children) throw new CodedError('NOT_A_DIRECTORY', 'not a directory');
    return children;
  }

  #entry(parent: NodeId, child: MemoryNode): Entry {
    return { attributes: this.#attributes(child), changeable: parent === ROOT_NODE };
  }

  #attributes(node: MemoryNode): Attributes {
    const { leaf } = node;
    let sizeBytes = 0;
    if (typeof leaf === 'string') sizeBytes = Buffer.byteLength(leaf);
    else if (leaf instanceof Uint8Array) sizeBytes = leaf.length;
    else if (has(leaf, '$link')) sizeBytes = Buffer.byteLength(leaf.$link);
    else if (has(leaf, '$sparse')) sizeBytes = leaf.$sparse;
    else if (has(leaf, '$read')) sizeBytes = leaf.size;
    return {
      node: node.id,
      inode: node.id,
      kind: kindOf(node),
      mode: node.children ? 0o555 : 0o644,
      sizeBytes,
      mtimeSeconds: 1_600_000_000,
      mtimeNanoseconds: 123_456_789,
      uid: 12,
      gid: 34,
      changeable: node.id === ROOT_NODE,
    };
  }
}

/** A directory with a child of this name can't be listed before `arrive`. */
export const HANGING_LISTING = 'hangs-the-listing';

function isLeaf(tree: Tree | Leaf): tree is Leaf {
  return typeof tree === 'string' || tree instanceof Uint8Array || LEAF_KEYS.some((key) => Object.hasOwn(tree, key));
}

function has<K extends string>(
  leaf: Leaf | undefined,
  key: K,
): leaf is Exclude<Extract<Leaf, { readonly [P in K]: unknown }>, string> {
  return typeof leaf === 'object' && !(leaf instanceof Uint8Array) && Object.hasOwn(leaf, key);
}

function kindOf(node: MemoryNode): NodeKind {
  if (node.children) return 'directory';
  return has(node.leaf, '$link') ? 'symlink' : 'file';
}
