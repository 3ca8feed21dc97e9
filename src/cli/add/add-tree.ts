/**
 * Walks a file or directory and emits its DAG, depth first, each block once it is made and the root last.
 *
 * Everything is added, hidden files too (`ipfs add --hidden`). Symlinks are kept as they are, except PATH itself, which
 * is followed as `ipfs add --dereference-args` does: a volume's root is a file or a directory. What is neither file,
 * directory nor symlink is refused by name, or passed over where the caller says so.
 */
import { isUtf8 } from 'node:buffer';
import { type BigIntStats, closeSync, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../base/errors.ts';
import type { BlockKey } from '../../blocks/block.ts';
import { inputError } from '../input-error.ts';
import { BlockSizes } from './block-sizes.ts';
import { type DagLink, type DagRoot, type Emit, emitNode } from './dag-node.ts';
import { emitDirectory } from './directory-dag.ts';
import { CHUNK_BYTES, type Chunks, emitFile } from './file-dag.ts';
import { openFile, readLarge, readSmall } from './read-chunks.ts';
import { encodeUnixFs, type Metadata, UNIXFS_TYPE, type UnixFsTime } from './unixfs-data.ts';

export interface AddTreeOptions {
  /** Keep mode and mtime, as `ipfs add --preserve-mode --preserve-mtime --raw-leaves=false`. */
  readonly keepMetadata: boolean;
  /** Told of each device, socket or fifo that is passed over; where absent, the first one is an error. */
  readonly onSpecial?: ((path: string) => void) | undefined;
  /** More files for the root directory, in place of any of their names, made once the root without them is known. */
  readonly rootFiles?: RootFiles | undefined;
  /** Told of bytes of files as they are read, and of each entry when it is done. */
  readonly onProgress?: ((bytes: number, entries: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What those of `keys` measure that are blocks of the tree. */
export type SizesOf = (keys: Iterable<BlockKey>) => ReadonlyMap<BlockKey, number>;

export interface RootFiles {
  readonly names: readonly string[];
  /** Emits them for the `root` without them, and gives their links. */
  readonly emitFor: (root: CID, sizesOf: SizesOf, emit: Emit) => Promise<readonly DagLink[]>;
}

/**
 * The root of `path`, all of whose blocks went to `emit`.
 * @throws INPUT_INVALID naming the path that is absent, unreadable, special, changing, or not named in UTF-8.
 */
export async function addTree(path: string, emit: Emit, options: AddTreeOptions): Promise<DagRoot> {
  const stat = withPath(path, () => statSync(path, { bigint: true }));
  if (options.rootFiles) return addWithRootFiles(path, stat, options.rootFiles, emit, options);
  const root = await addEntry(path, stat, emit, options);
  if (!root) throw special(path);
  return root;
}

/** As `addAny`, and counts it. */
async function addEntry(
  path: string,
  stat: BigIntStats,
  emit: Emit,
  options: AddTreeOptions,
): Promise<DagRoot | undefined> {
  const root = await addAny(path, stat, emit, options);
  if (root) options.onProgress?.(0, 1);
  return root;
}

/** `undefined` for a special entry that was passed over. */
async function addAny(
  path: string,
  stat: BigIntStats,
  emit: Emit,
  options: AddTreeOptions,
): Promise<DagRoot | undefined> {
  options.signal?.throwIfAborted();
  if (stat.isDirectory()) return addDirectory(path, stat, emit, options);
  if (stat.isFile()) return addFile(path, emit, options);
  if (stat.isSymbolicLink()) return addSymlink(path, stat, emit, options);
  if (!options.onSpecial) throw special(path);
  options.onSpecial(path);
  return undefined;
}

/** The directory's block goes out once, with the files; without them it is made for the sake of its CID alone. */
async function addWithRootFiles(
  path: string,
  stat: BigIntStats,
  { names, emitFor }: RootFiles,
  emit: Emit,
  options: AddTreeOptions,
): Promise<DagRoot> {
  if (!stat.isDirectory()) {
    throw new CodedError('INPUT_INVALID', `${path}: not a directory, so there is no place in it for ${names[0]}`);
  }
  const sizes = new BlockSizes();
  const measured: Emit = (block) => {
    sizes.add(block);
    return emit(block);
  };
  const links = (await addChildren(path, measured, options)).filter(({ name }) => !names.includes(name));
  const metadata = directoryMetadata(stat, options);
  const only = (emit: Emit) => onlyBlock(path, names, emit);
  const bare = await emitDirectory(
    links,
    metadata,
    only(() => undefined),
  );
  const files = await emitFor(bare.cid, (keys) => sizes.of(keys), emit);
  return emitDirectory([...links, ...files], metadata, only(emit));
}

/** Takes one block and refuses a second: that directory is sharded, and "the root less some links" is no block of its own. */
function onlyBlock(path: string, names: readonly string[], emit: Emit): Emit {
  let blocks = 0;
  return (block) => {
    if (++blocks === 1) return emit(block);
    throw new CodedError('INPUT_INVALID', `${path}: has too many entries to hold ${names[0]} as well`);
  };
}

async function addDirectory(path: string, stat: BigIntStats, emit: Emit, options: AddTreeOptions): Promise<DagRoot> {
  return emitDirectory(await addChildren(path, emit, options), directoryMetadata(stat, options), emit);
}

async function addChildren(path: string, emit: Emit, options: AddTreeOptions): Promise<DagLink[]> {
  const links: DagLink[] = [];
  for (const name of namesIn(path)) {
    const childPath = path.endsWith('/') ? path + name : `${path}/${name}`;
    const childStat = withPath(childPath, () => lstatSync(childPath, { bigint: true }));
    const root = await addEntry(childPath, childStat, emit, options);
    if (root) links.push({ ...root, name });
  }
  return links;
}

/** Kubo stores a directory's mode even where all its bits are zero: its type bits are not. */
function directoryMetadata(stat: BigIntStats, { keepMetadata }: AddTreeOptions): Metadata {
  return keepMetadata ? { mode: modeOf(stat), mtime: mtimeOf(stat) } : {};
}

async function addFile(path: string, emit: Emit, options: AddTreeOptions): Promise<DagRoot> {
  const file = withPath(path, () => openFile(path));
  try {
    const isSmall = file.sizeBytes <= CHUNK_BYTES;
    const chunks = isSmall ? withPath(path, () => readSmall(file)) : readLarge(file);
    return await emitFile(
      counted(chunks, options.onProgress),
      options.keepMetadata ? fileMetadata(file.stat) : undefined,
      emit,
    );
  } catch (error) {
    throw inputError(path, error);
  } finally {
    closeSync(file.fd);
  }
}

/** The same chunks; each is told of when it is taken. */
function counted(chunks: Chunks, onProgress: AddTreeOptions['onProgress']): Chunks {
  if (!onProgress) return chunks;
  return (async function* () {
    for await (const chunk of chunks) {
      onProgress(chunk.length, 0);
      yield chunk;
    }
  })();
}

/** A symlink keeps its mtime alone: the mode of a symlink means nothing on Linux, and Kubo stores none. */
async function addSymlink(path: string, stat: BigIntStats, emit: Emit, options: AddTreeOptions): Promise<DagRoot> {
  const data = withPath(path, () => readlinkSync(path, 'buffer'));
  const metadata = options.keepMetadata ? { mtime: mtimeOf(stat) } : {};
  return emitNode(encodeUnixFs({ type: UNIXFS_TYPE.symlink, data, ...metadata }), [], emit);
}

function namesIn(path: string): string[] {
  return withPath(path, () => readdirSync(path, 'buffer')).map((name) => {
    if (isUtf8(name)) return name.toString();
    const shown = `${path}/${name.toString('latin1').replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`)}`;
    throw new CodedError('INPUT_INVALID', `${shown}: its name is not UTF-8, which IPFS requires; rename it`);
  });
}

/** A file without any permission gets no mode: Kubo cannot tell zero from none, and its CIDs are the measure. */
function fileMetadata(stat: BigIntStats): Metadata {
  const mode = modeOf(stat);
  return mode === 0 ? { mtime: mtimeOf(stat) } : { mode, mtime: mtimeOf(stat) };
}

function modeOf(stat: BigIntStats): number {
  return Number(stat.mode & 0o7777n);
}

function mtimeOf(stat: BigIntStats): UnixFsTime {
  // Floor, so that the fraction of a time before 1970 is positive too.
  const nanoseconds = ((stat.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: (stat.mtimeNs - nanoseconds) / 1_000_000_000n, nanoseconds: Number(nanoseconds) };
}

function special(path: string): CodedError {
  return new CodedError(
    'INPUT_INVALID',
    `${path}: neither a file, a directory nor a symlink; --skip-special passes such entries over`,
  );
}

function withPath<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw inputError(path, error);
  }
}
