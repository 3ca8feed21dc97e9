/**
 * The file system over UnixFS: every mounted volume's content by node number, and the control side that adds and
 * removes volumes.
 *
 * Content never changes, so nothing here is ever invalidated. What is on this machine is answered in the same turn; what
 * must wait is bounded by its volumes' time-outs. This file dispatches and reports errors to volumes; how things are done
 * is in the files it names.
 */
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { chain, type MaybePromise } from '../base/maybe-promise.ts';
import { type ContentKey, cidOf } from '../unixfs/content-key.ts';
import { MAX_NAME_BYTES } from '../unixfs/entry-name.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import { SiblingsAhead } from './ahead/siblings-ahead.ts';
import { attributesOf, entryOf, ROOT_ATTRIBUTES } from './attributes.ts';
import { ChildNodes } from './child-nodes.ts';
import { DirectoryLister, type Fill } from './directory-lister.ts';
import { FailureLog } from './failure-log.ts';
import { FileReads } from './file-reads.ts';
import {
  type Attributes,
  type Entry,
  type FileSystem,
  type FileSystemStatistics,
  type NodeId,
  type RequestContext,
  ROOT_NODE,
} from './file-system.ts';
import type { MountedVolume, VolumeSpec } from './mounted-volume.ts';
import { type ContentNode, type DirectoryNode, isDirectory, type Node } from './node.ts';
import { NodeBound, type NodeLimits } from './node-bound.ts';
import { type NextNumbers, NO_RECORDER, type NodeEvent, type NodeRecorder } from './node-recorder.ts';
import { NodeTable } from './node-table.ts';
import { NodeWant } from './node-want.ts';
import type { ReadObserver } from './read-observer.ts';
import { RequestNotes } from './request-notes.ts';
import { restoreNodes } from './restore-nodes.ts';
import { RootDirectory } from './root-directory.ts';

export interface IpfsFileSystemOptions {
  /** Serves `user.ipfs.cid`; off by default, since each `ls -l` then asks twice more for each file. */
  readonly extendedAttributes?: boolean;
  readonly observers?: readonly ReadObserver[];
  /** Told of every change of what node numbers mean, for the process that comes after this one. */
  readonly recorder?: NodeRecorder;
  /** How many nodes may be held; as much as the daemon's memory carries by default. */
  readonly nodeLimits?: NodeLimits;
  /** Is told what readers could not be given. */
  readonly logger?: Logger;
  /** What people call the volume whose directory is called so; the log has it. */
  readonly nameOf?: (directory: string) => string;
  /** A clock in milliseconds that never goes back. */
  readonly now?: () => number;
}

const CID_ATTRIBUTE = 'user.ipfs.cid';

/** What `stat` shows as the best size to read by, and `df` counts in. */
const BLOCK_SIZE = 4096;
/** How much there is to read is everybody's content; `df` and installers want a number that is not 0. */
const NOMINAL_BYTES = 2 ** 40;

/** Shared: these are everyday answers, and a stack trace for each costs more than the answer. */
const NO_ENTRY = new CodedError('ENTRY_NOT_FOUND', 'no such entry');
const NO_ATTRIBUTE = new CodedError('NO_ATTRIBUTE', `${CID_ATTRIBUTE} is the only attribute there is`);

export class IpfsFileSystem implements FileSystem {
  readonly extendedAttributes: boolean;
  readonly #unixfs: UnixfsReader;
  readonly #now: () => number;
  readonly #nodes: NodeTable;
  readonly #root: RootDirectory;
  readonly #children: ChildNodes;
  readonly #siblingsAhead: SiblingsAhead;
  readonly #lister: DirectoryLister;
  readonly #reads: FileReads;
  readonly #notes: RequestNotes;
  #lostBelow: NodeId = 0;
  #requests = 0;

  constructor(unixfs: UnixfsReader, options: IpfsFileSystemOptions = {}) {
    const now = options.now ?? (() => performance.now());
    this.extendedAttributes = options.extendedAttributes ?? false;
    this.#unixfs = unixfs;
    this.#now = now;
    const recorder = options.recorder ?? NO_RECORDER;
    this.#nodes = new NodeTable(recorder, new NodeBound(options.nodeLimits));
    this.#root = new RootDirectory(recorder);
    this.#children = new ChildNodes(unixfs, this.#nodes);
    this.#siblingsAhead = new SiblingsAhead(unixfs);
    const onFailed = new FailureLog(options.logger, options.nameOf).report;
    this.#lister = new DirectoryLister(unixfs, this.#nodes, this.#children, this.#siblingsAhead, now, onFailed);
    this.#notes = new RequestNotes(onFailed, now);
    this.#reads = new FileReads(unixfs, this.#nodes, now, options.observers ?? [], onFailed);
  }

  /** Adds a name to the root directory: at once, whatever the network does. @throws VOLUME_EXISTS */
  addVolume(spec: VolumeSpec): MountedVolume {
    return this.#root.add(spec);
  }

  /** Takes the name away; who has the volume's files open goes on reading. False where there is none of that name. */
  removeVolume(name: string): boolean {
    return this.#root.remove(name);
  }

  volume(name: string): MountedVolume | undefined {
    return this.#root.get(name);
  }

  volumes(): Iterable<MountedVolume> {
    return this.#root.volumes();
  }

  /** Look-ups, reads and listings so far, for whoever yields to readers. */
  get requests(): number {
    return this.#requests;
  }

  /** Nodes that somebody holds, for metrics. */
  get nodeCount(): number {
    return this.#nodes.size;
  }

  /** Nodes that somebody holds, for a recorder that begins anew; goes on while nodes come and go. */
  *heldNodes(): Generator<Node, undefined> {
    for (const node of this.#nodes.nodes()) if (node.lookups > 0) yield node;
  }

  /** Numbers below these were given out. */
  get next(): NextNumbers {
    return { node: this.#nodes.nextId, serial: this.#root.nextSerial };
  }

  /**
   * Takes over what an earlier process told its recorder; to be called before anything else. Volumes that were mounted
   * are so again, with their nodes and serials, as soon as they are added again as they were.
   */
  restore(events: Iterable<NodeEvent>): void {
    restoreNodes(events, this.#nodes, this.#root);
  }

  /** Numbers below `id` were given out by an earlier process, and what they mean is lost: they are NODE_LOST from now on. */
  loseNumbersBelow(id: NodeId): void {
    this.#lostBelow = id;
    this.#nodes.reserve(id);
  }

  lookup(parent: NodeId, name: Uint8Array, context: RequestContext): MaybePromise<Entry> {
    this.#requests++;
    if (name.length > MAX_NAME_BYTES) throw new CodedError('NAME_TOO_LONG', 'a name of more than 255 bytes');
    if (parent === ROOT_NODE) return this.#lookupVolume(name, context);
    const directory = this.#directory(parent);
    const { volume, key } = directory;
    const want = new NodeWant('demand', volume.spec.timeoutMs, context, this.#now, volume.account);
    return this.#notes.noting(volume, lookingUp(name, key), () =>
      chain(this.#unixfs.find(key, name, want), (found) => {
        if (!found) throw NO_ENTRY;
        const { table, link } = found;
        this.#siblingsAhead.onDirectory(directory, table);
        this.#siblingsAhead.onLookup(directory, table, link);
        const node = this.#children.lookup({ parent, name, volume }, table.key(link), table.size(link), want);
        return chain(node, (child) => entryOf(this.#nodes, child, false));
      }),
    );
  }

  forget(node: NodeId, count: number): void {
    this.#nodes.forget(node, count);
  }

  surplus(count: number): readonly NodeId[] {
    return this.#nodes.surplus(count);
  }

  attributes(node: NodeId, _context: RequestContext): MaybePromise<Attributes> {
    return node === ROOT_NODE ? ROOT_ATTRIBUTES : attributesOf(this.#nodes, this.#node(node));
  }

  readLink(id: NodeId, context: RequestContext): MaybePromise<Uint8Array> {
    const node = id === ROOT_NODE ? undefined : this.#node(id);
    if (node?.appearance.kind !== 'symlink') throw new CodedError('NOT_A_SYMLINK', 'not a symlink');
    const { holders, key } = node as ContentNode;
    const entry = this.#unixfs.entry(
      key,
      new NodeWant('demand', holders.timeoutMs, context, this.#now, holders.account),
    );
    return chain(entry, (found) => {
      if (found.kind === 'symlink') return found.target;
      throw new CodedError('INTERNAL', 'a symlink that is none when read again');
    });
  }

  read(id: NodeId, offset: number, length: number, context: RequestContext): MaybePromise<readonly Uint8Array[]> {
    this.#requests++;
    const node = id === ROOT_NODE ? undefined : this.#node(id);
    if (!node || isDirectory(node)) throw new CodedError('IS_A_DIRECTORY', 'a directory has no bytes to read');
    if (node.appearance.kind === 'symlink') throw new CodedError('BAD_HANDLE', 'a symlink has no bytes to read');
    return this.#reads.read(node, offset, length, context);
  }

  list(id: NodeId, cursor: number, withAttributes: boolean, fill: Fill, context: RequestContext): MaybePromise<void> {
    this.#requests++;
    if (id === ROOT_NODE) return this.#listVolumes(cursor, withAttributes, fill);
    const directory = this.#directory(id);
    const what = () => `the entries of ${cidOf(directory.key)}`;
    return this.#notes.noting(directory.volume, what, () =>
      this.#lister.list(directory, cursor, withAttributes, fill, context),
    );
  }

  getExtendedAttribute(id: NodeId, name: string, _context: RequestContext): MaybePromise<Uint8Array> {
    if (this.listExtendedAttributes(id).includes(name)) return Buffer.from(cidOf(this.#node(id).key).toString());
    throw NO_ATTRIBUTE;
  }

  listExtendedAttributes(id: NodeId): readonly string[] {
    return this.extendedAttributes && id !== ROOT_NODE ? [CID_ATTRIBUTE] : [];
  }

  statistics(): FileSystemStatistics {
    return { blockSize: BLOCK_SIZE, totalBytes: NOMINAL_BYTES, fileCount: this.#nodes.size + 1 };
  }

  #lookupVolume(name: Uint8Array, context: RequestContext): MaybePromise<Entry> {
    const volume = this.#root.find(name);
    if (!volume) throw NO_ENTRY;
    const want = new NodeWant('demand', volume.spec.timeoutMs, context, this.#now, volume.account);
    const place = { parent: ROOT_NODE, name, volume };
    return this.#notes.noting(
      volume,
      () => `the root ${cidOf(volume.rootKey)}`,
      () =>
        chain(this.#children.lookup(place, volume.rootKey, undefined, want), (node) => {
          volume.kind = node.appearance.kind === 'directory' ? 'directory' : 'file';
          return entryOf(this.#nodes, node, true);
        }),
    );
  }

  /** Cursors are the volumes' serials, so that they hold while names come and go. Waits for nothing. */
  #listVolumes(cursor: number, withAttributes: boolean, fill: Fill): void {
    for (const volume of this.#root.volumes()) {
      if (volume.serial <= cursor) continue;
      const name = Buffer.from(volume.spec.name);
      const node = this.#children.listed({ parent: ROOT_NODE, name, volume }, volume.rootKey, undefined);
      const taken = fill({
        name,
        kind: node?.appearance.kind ?? volume.kind,
        node: node?.id ?? 0,
        inode: node ? this.#nodes.inode(node) : 0,
        entry: node && withAttributes ? entryOf(this.#nodes, node, true) : undefined,
        nextCursor: volume.serial,
      });
      if (node && taken && withAttributes) this.#nodes.count(node);
      else if (node) this.#nodes.dropUnused(node);
      if (!taken) return;
    }
  }

  #node(id: NodeId): Node {
    const node = this.#nodes.get(id);
    if (node) return node;
    if (id < this.#lostBelow) throw new CodedError('NODE_LOST', `what node ${id} meant died with an earlier daemon`);
    throw new CodedError('BAD_HANDLE', `no node ${id}`);
  }

  #directory(id: NodeId): DirectoryNode {
    const node = this.#node(id);
    if (!isDirectory(node)) throw new CodedError('NOT_A_DIRECTORY', 'not a directory');
    return node;
  }
}

function lookingUp(name: Uint8Array, directory: ContentKey): () => string {
  return () => `"${Buffer.from(name).toString()}" in ${cidOf(directory)}`;
}
