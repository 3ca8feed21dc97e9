/**
 * The UnixFS message inside a dag-pb block (specs.ipfs.tech/unixfs, version 1.5), decoded in place.
 *
 * Own code because `ipfs-unixfs` drops the hash function of a shard and the size of a file, both of which must be
 * checked, and turns each block size into a BigInt; the tests hold it against that codec.
 */
import { CodedError } from '../base/errors.ts';
import { ProtobufReader, WIRE_BYTES, WIRE_FIXED32, WIRE_VARINT } from './protobuf-reader.ts';

/** By their number in the message. */
export const UNIXFS_TYPES = ['raw', 'directory', 'file', 'metadata', 'symlink', 'shard'] as const;

export type UnixfsType = (typeof UNIXFS_TYPES)[number];

/** Mode and modification time, where the content has them (UnixFS 1.5). */
export interface UnixfsMetadata {
  /** The permission bits alone (0o777): who mounts never gets set-user-ID from content. Undefined where none is kept. */
  readonly mode: number | undefined;
  /** 0 where none is kept; may be negative. */
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
}

export interface UnixfsData extends UnixfsMetadata {
  readonly type: UnixfsType;
  /** The Data field's place in the block; both 0 where there is none. */
  readonly dataStart: number;
  readonly dataEnd: number;
  readonly fileSize: number | undefined;
  /** Of the children, in the order of the links. May hold numbers that are no safe integers. */
  readonly blockSizes: readonly number[];
  readonly hashType: number | undefined;
  readonly fanout: number | undefined;
}

/** The message at `start`..`end` of `bytes`. @throws DAG_INVALID */
export function decodeUnixfsData(bytes: Uint8Array, start: number, end: number): UnixfsData {
  const reader = new ProtobufReader(bytes, start, end);
  let type: number | undefined;
  let dataStart = 0;
  let dataEnd = 0;
  let fileSize: number | undefined;
  const blockSizes: number[] = [];
  let hashType: number | undefined;
  let fanout: number | undefined;
  let mode: number | undefined;
  let mtime: { seconds: number; nanoseconds: number } | undefined;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === ((1 << 3) | WIRE_VARINT)) type = reader.varint();
    else if (tag === ((2 << 3) | WIRE_BYTES)) {
      dataStart = reader.bytesField();
      dataEnd = reader.position;
    } else if (tag === ((3 << 3) | WIRE_VARINT)) fileSize = reader.varint();
    else if (tag === ((4 << 3) | WIRE_VARINT)) blockSizes.push(reader.varint());
    else if (tag === ((4 << 3) | WIRE_BYTES)) {
      // "Packed": nobody writes it, every protobuf decoder has to take it.
      const from = reader.bytesField();
      const packed = new ProtobufReader(bytes, from, reader.position);
      while (packed.more) blockSizes.push(packed.varint());
    } else if (tag === ((5 << 3) | WIRE_VARINT)) hashType = reader.varint();
    else if (tag === ((6 << 3) | WIRE_VARINT)) fanout = reader.varint();
    else if (tag === ((7 << 3) | WIRE_VARINT)) mode = reader.varint();
    else if (tag === ((8 << 3) | WIRE_BYTES)) {
      const from = reader.bytesField();
      mtime = decodeMtime(bytes, from, reader.position);
    } else reader.skip(tag % 8);
  }
  const name = type === undefined ? undefined : UNIXFS_TYPES[type];
  if (!name) throw new CodedError('DAG_INVALID', `not UnixFS: type ${type ?? 'missing'}`);
  return {
    type: name,
    dataStart,
    dataEnd,
    fileSize,
    blockSizes,
    hashType,
    fanout,
    // uint32; bits above are ignored as protobuf decoders do.
    mode: mode === undefined ? undefined : (mode % 2 ** 32) & 0o777,
    mtimeSeconds: mtime?.seconds ?? 0,
    mtimeNanoseconds: mtime?.nanoseconds ?? 0,
  };
}

function decodeMtime(bytes: Uint8Array, start: number, end: number): { seconds: number; nanoseconds: number } {
  const reader = new ProtobufReader(bytes, start, end);
  let seconds = 0;
  let nanoseconds = 0;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === ((1 << 3) | WIRE_VARINT)) seconds = reader.int64();
    else if (tag === ((2 << 3) | WIRE_FIXED32)) nanoseconds = reader.fixed32();
    else reader.skip(tag % 8);
  }
  if (nanoseconds > 999_999_999) throw new CodedError('DAG_INVALID', `not UnixFS: ${nanoseconds} ns in a second`);
  return { seconds, nanoseconds };
}
