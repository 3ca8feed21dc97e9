/**
 * From a reference (`CID`, `CID/sub/dir`) to the content it stands for, reading the blocks on the way and no others.
 */
import type { CID } from 'multiformats/cid';
import { CodedError, hasCode } from '../base/errors.ts';
import type { WantOptions } from '../blocks/block-reader.ts';
import { type ContentKey, cidOf, codecOf, contentKey } from './content-key.ts';
import type { UnixfsEntry } from './unixfs-entry.ts';
import type { UnixfsReader } from './unixfs-reader.ts';

export interface ResolvedPath {
  /** The root's own CID where there are no segments, else a CIDv1. */
  readonly cid: CID;
  readonly kind: 'file' | 'directory';
}

/** For the message alone (github.com/multiformats/multicodec). */
const CODEC_NAMES: Readonly<Record<number, string>> = {
  81: 'cbor',
  112: 'dag-pb',
  113: 'dag-cbor',
  114: 'libp2p-key',
  297: 'dag-json',
  512: 'json',
};

/**
 * What stands at `segments` (names, neither escaped nor empty) below `root`. The root's block is wanted even where its codec
 * says already that it is a file: absent, a container would fail on it later, and less readably.
 *
 * @throws NOT_UNIXFS where it is no file or directory, ENTRY_NOT_FOUND and NOT_A_DIRECTORY naming the segment,
 *   DAG_INVALID, and what `blocks/` throws.
 */
export async function resolvePath(
  unixfs: UnixfsReader,
  root: CID,
  segments: readonly string[],
  options: WantOptions,
): Promise<ResolvedPath> {
  let key = contentKey(root);
  let entry = await rootEntry(unixfs, root, key, options);
  let shown = root.toString();
  for (const segment of segments) {
    if (entry.kind !== 'directory' && entry.kind !== 'shard') {
      throw new CodedError('NOT_A_DIRECTORY', `${shown} is a ${entry.kind}, so there is no "${segment}" in it`);
    }
    const found = await unixfs.find(key, Buffer.from(segment), options);
    if (!found) throw new CodedError('ENTRY_NOT_FOUND', `there is no "${segment}" in ${shown}`);
    shown += `/${segment}`;
    key = found.table.key(found.link);
    entry = await unixfs.entry(key, options);
  }
  const cid = segments.length === 0 ? root : cidOf(key);
  if (entry.kind === 'directory' || entry.kind === 'shard') return { cid, kind: 'directory' };
  if (entry.kind === 'symlink') {
    throw new CodedError('NOT_UNIXFS', `${shown} is a symlink; give the CID or path of a file or directory`);
  }
  return { cid, kind: 'file' };
}

async function rootEntry(unixfs: UnixfsReader, root: CID, key: ContentKey, options: WantOptions): Promise<UnixfsEntry> {
  const codec = codecOf(key);
  const name = CODEC_NAMES[codec] ?? `0x${codec.toString(16)}`;
  try {
    const entry = await unixfs.entry(key, options);
    if (entry.kind !== 'object') return entry;
  } catch (error) {
    if (hasCode(error, 'DAG_INVALID')) throw notUnixfs(root, name, error);
    throw error;
  }
  throw notUnixfs(root, name);
}

function notUnixfs(root: CID, codecName: string, cause?: unknown): CodedError {
  const message = `${root} is a ${codecName} block, not a UnixFS file or directory; add the content with "ipfs-volume add" or "ipfs add" and give the CID that prints`;
  return new CodedError('NOT_UNIXFS', message, { cause });
}
