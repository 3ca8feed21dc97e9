/** How a CARv1 is written (https://ipld.io/specs/transport/car/carv1/): its header, and what stands before each block. */
import type { CID } from 'multiformats/cid';
import { pushVarint, varintLength } from '../base/varint.ts';

/** dag-cbor of `{ roots, version: 1 }`: what stands before the roots, before the bytes of one (a link, a string of 1 + n bytes, a zero), and behind them. */
const BEFORE_ROOTS = Buffer.from('a265726f6f7473', 'hex');
const AFTER_ROOTS = Buffer.from('6776657273696f6e01', 'hex');
const LINK_TAG = [0xd8, 0x2a];
const NO_ROOTS = Buffer.from([0x80]);

/** The header with its length before it. */
export function carHeader(root: CID | undefined): Uint8Array {
  const roots = root
    ? [Buffer.from([0x81, ...LINK_TAG, ...bytesHead(root.byteLength + 1), 0]), root.bytes]
    : [NO_ROOTS];
  const map = Buffer.concat([BEFORE_ROOTS, ...roots, AFTER_ROOTS]);
  const length: number[] = [];
  pushVarint(length, map.length);
  return Buffer.concat([Uint8Array.from(length), map]);
}

/** What a block of `sizeBytes` takes in a CAR. */
export function sectionBytes(cid: CID, sizeBytes: number): number {
  const length = cid.byteLength + sizeBytes;
  return varintLength(length) + length;
}

/** What stands before a block of `sizeBytes`: the length of its section, and its CID. */
export function sectionHead(cid: CID, sizeBytes: number): Uint8Array {
  const length: number[] = [];
  pushVarint(length, cid.byteLength + sizeBytes);
  return Buffer.concat([Uint8Array.from(length), cid.bytes]);
}

/** CBOR's head of a string of bytes; of fewer than 64 KiB, which an identity CID is far below. */
function bytesHead(length: number): number[] {
  if (length < 24) return [0x40 | length];
  return length < 256 ? [0x58, length] : [0x59, length >>> 8, length & 0xff];
}
