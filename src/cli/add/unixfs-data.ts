/**
 * The UnixFS `Data` message, byte for byte as Kubo writes it (https://specs.ipfs.tech/unixfs/, unixfs.proto).
 *
 * `ipfs-unixfs` cannot serve here: its `marshal()` leaves out a mode that equals its own default (0644 of a file, 0755
 * of a directory), the two commonest of all, and gives symlinks a file size. Both make another block, so another CID.
 */
import { pushVarint } from '../../base/varint.ts';

/** The `DataType` enum of unixfs.proto. */
export const UNIXFS_TYPE = { directory: 1, file: 2, symlink: 4, hamtShard: 5 } as const;

export interface UnixFsTime {
  readonly seconds: bigint;
  /** 0..999,999,999; zero is not written. */
  readonly nanoseconds: number;
}

/** What `ipfs add --preserve-mode --preserve-mtime` stores of an entry. */
export interface Metadata {
  /** The lower 12 bits (permissions, setuid, setgid, sticky), or absent. */
  readonly mode?: number;
  readonly mtime?: UnixFsTime;
}

/** The message's fields in the order of their numbers, which is the order on the wire. Sizes in bytes. */
export interface UnixFsData extends Metadata {
  readonly type: (typeof UNIXFS_TYPE)[keyof typeof UNIXFS_TYPE];
  readonly data?: Uint8Array;
  readonly fileSize?: number;
  readonly blockSizes?: readonly number[];
  readonly hashType?: number;
  readonly fanout?: number;
}

/** An int64 as protobuf writes it: a time before 1970 takes ten bytes of two's complement. */
function pushInt64(out: number[], value: bigint): void {
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  out.push(Number(rest));
}

function timeMessage(time: UnixFsTime): number[] {
  const out = [0x08];
  pushInt64(out, time.seconds);
  if (time.nanoseconds > 0) {
    // `fixed32 FractionalNanoseconds = 2`, little-endian.
    const n = time.nanoseconds;
    out.push(0x15, n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24);
  }
  return out;
}

/** The encoded message. Each tag is `field number << 3 | wire type`. */
export function encodeUnixFs(message: UnixFsData): Uint8Array {
  const head = [0x08, message.type];
  const data = message.data;
  if (data) {
    head.push(0x12);
    pushVarint(head, data.length);
  }
  const tail: number[] = [];
  const field = (tag: number, value: number | undefined) => {
    if (value === undefined) return;
    tail.push(tag);
    pushVarint(tail, value);
  };
  field(0x18, message.fileSize);
  for (const size of message.blockSizes ?? []) field(0x20, size);
  field(0x28, message.hashType);
  field(0x30, message.fanout);
  field(0x38, message.mode);
  if (message.mtime) {
    const time = timeMessage(message.mtime);
    tail.push(0x42, time.length, ...time);
  }
  const encoded = new Uint8Array(head.length + (data?.length ?? 0) + tail.length);
  encoded.set(head);
  if (data) encoded.set(data, head.length);
  encoded.set(tail, encoded.length - tail.length);
  return encoded;
}
