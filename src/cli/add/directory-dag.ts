/**
 * A directory's DAG, as boxo's `unixfs/io` and `unixfs/hamt` build it: one node while its block is at most 256 KiB, a
 * HAMT of fanout 256 above.
 *
 * The rule is IPIP-499's: the serialized block, above the threshold, not at it. Kubo 0.43 keeps it but for directories with
 * sub-directories that are above the threshold by less than the length of one name: there boxo forgets a name when it
 * weighs whether to go back to one node, and the outcome depends on the order of a Go map (two CIDs of one tree, seen).
 *
 * The stock JavaScript importer cannot serve: it decides on sharding before the sub-directories have CIDs, so they do not
 * count, and it splits names at `/` with `\` as an escape, so that a name ending in `\` swallows its neighbour.
 */
import { murmur364 } from '@multiformats/murmur3';
import { CodedError } from '../../base/errors.ts';
import { varintLength } from '../../base/varint.ts';
import type { DagLink, DagRoot, Emit } from './dag-node.ts';
import { emitNode } from './dag-node.ts';
import { encodeUnixFs, type Metadata, UNIXFS_TYPE } from './unixfs-data.ts';

/** `Import.UnixFSHAMTDirectorySizeThreshold` of the profile, against the size of the serialized block (IPIP-499). */
const MAX_FLAT_BYTES = 256 * 1024;
/** `Import.UnixFSHAMTDirectoryMaxFanout`: eight bits of the hash a level, two hexadecimal digits before each name. */
const FANOUT = 256;
/** multicodec `murmur3-x64-64`; its 64 bits allow for eight levels. */
const MURMUR3_X64_64 = 0x22;
const HASH_BYTES = 8;

interface Hashed {
  readonly link: DagLink;
  /** Big-endian, as Go prints it: byte n is the index at level n. */
  readonly hash: Uint8Array;
}

/**
 * Emits the blocks of a directory whose entries were emitted before, and returns its root.
 * @throws INPUT_INVALID where two names share all 64 bits of their hash, which no HAMT can hold.
 */
export async function emitDirectory(links: readonly DagLink[], metadata: Metadata, emit: Emit): Promise<DagRoot> {
  const data = encodeUnixFs({ type: UNIXFS_TYPE.directory, ...metadata });
  let flatBytes = fieldLength(data.length);
  for (const link of links) flatBytes += linkLength(link);
  if (flatBytes <= MAX_FLAT_BYTES) return emitNode(data, sortedByName(links), emit);

  const hashed = links.map((link) => ({ link, hash: hashOf(link.name) }));
  return emitShard(hashed, 0, metadata, emit);
}

/** Length of a protobuf field with a one-byte tag and a length of its own. */
function fieldLength(bytes: number): number {
  return 1 + varintLength(bytes) + bytes;
}

/** Exactly what a link adds to the block. */
function linkLength(link: DagLink): number {
  const nameBytes = Buffer.byteLength(link.name);
  return fieldLength(fieldLength(link.cid.byteLength) + fieldLength(nameBytes) + 1 + varintLength(link.totalBytes));
}

/** dag-pb's canonical order: by the bytes of the names, which is not the order of JavaScript strings. */
function sortedByName(links: readonly DagLink[]): DagLink[] {
  const keyed = links.map((link) => ({ link, key: Buffer.from(link.name) }));
  return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ link }) => link);
}

function hashOf(name: string): Uint8Array {
  // The multihash's code and length go before the digest; this hasher answers at once.
  const digest = murmur364.digest(Buffer.from(name)) as { digest: Uint8Array };
  return digest.digest;
}

async function emitShard(entries: readonly Hashed[], level: number, metadata: Metadata, emit: Emit): Promise<DagRoot> {
  const [first] = entries;
  if (level === HASH_BYTES) {
    throw new CodedError(
      'INPUT_INVALID',
      `"${first?.link.name}" cannot stand in a sharded directory: its hash collides`,
    );
  }
  const slots = Array.from({ length: FANOUT }, (): Hashed[] => []);
  for (const entry of entries) slots[entry.hash[level] as number]?.push(entry);

  const links: DagLink[] = [];
  const bitfield = new Uint8Array(FANOUT / 8);
  for (const [index, inSlot] of slots.entries()) {
    if (inSlot.length === 0) continue;
    // Bit 0 is the lowest of the last byte.
    bitfield[bitfield.length - 1 - (index >> 3)] =
      (bitfield[bitfield.length - 1 - (index >> 3)] ?? 0) | (1 << (index & 7));
    const prefix = index.toString(16).toUpperCase().padStart(2, '0');
    const [only] = inSlot;
    if (inSlot.length === 1 && only) links.push({ ...only.link, name: prefix + only.link.name });
    else links.push({ ...(await emitShard(inSlot, level + 1, {}, emit)), name: prefix });
  }
  const data = encodeUnixFs({
    type: UNIXFS_TYPE.hamtShard,
    // Leading zero bytes are left out, as go-bitfield does.
    data: bitfield.subarray(bitfield.findIndex((byte) => byte !== 0)),
    hashType: MURMUR3_X64_64,
    fanout: FANOUT,
    ...metadata,
  });
  return emitNode(data, links, emit);
}
