/** CARs for tests, well-formed and not: built byte by byte, since no writer makes the bad ones. */
import type { CID } from 'multiformats/cid';
import type { Block } from '../../src/blocks/block.ts';
import { varint } from './dag-builder.ts';

/** The 11 bytes that open every version 2 (ipld.io/specs/transport/car/carv2). */
const V2_PRAGMA = Buffer.from('0aa16776657273696f6e02', 'hex');

/** DAG-CBOR of `{ roots, version: 1 }` behind its length. */
export function carHeader(roots: readonly CID[]): Uint8Array {
  const links = roots.map(({ bytes }) =>
    Buffer.concat([Buffer.from([0xd8, 42]), cborHead(2, bytes.length + 1), Buffer.from([0]), bytes]),
  );
  const map = Buffer.concat([
    Buffer.from([0xa2, 0x65]),
    Buffer.from('roots'),
    cborHead(4, roots.length),
    ...links,
    Buffer.from([0x67]),
    Buffer.from('version'),
    Buffer.from([1]),
  ]);
  return Buffer.concat([Buffer.from(varint(map.length)), map]);
}

function cborHead(major: number, value: number): Uint8Array {
  if (value < 24) return Buffer.from([(major << 5) | value]);
  if (value < 256) return Buffer.from([(major << 5) | 24, value]);
  return Buffer.from([(major << 5) | 25, value >> 8, value & 0xff]);
}

export function carSection({ cid, bytes }: Block): Uint8Array {
  return Buffer.concat([Buffer.from(varint(cid.bytes.length + bytes.length)), cid.bytes, bytes]);
}

export function carV1(roots: readonly CID[], blocks: readonly Block[]): Uint8Array {
  return Buffer.concat([carHeader(roots), ...blocks.map(carSection)]);
}

export interface V2Options {
  /** Between the header and the data. */
  readonly padding?: number;
  /** Bytes behind the data, which stand for an index. */
  readonly index?: Uint8Array;
  /** What the header says of the data, where it lies. */
  readonly dataSize?: number;
  readonly dataOffset?: number;
}

export function carV2(roots: readonly CID[], blocks: readonly Block[], options: V2Options = {}): Uint8Array {
  const data = carV1(roots, blocks);
  const { padding = 0, index = new Uint8Array(0) } = options;
  const offset = 51 + padding;
  const header = Buffer.alloc(40);
  header.writeBigUInt64LE(BigInt(options.dataOffset ?? offset), 16);
  header.writeBigUInt64LE(BigInt(options.dataSize ?? data.length), 24);
  header.writeBigUInt64LE(BigInt(index.length > 0 ? offset + data.length : 0), 32);
  return Buffer.concat([V2_PRAGMA, header, Buffer.alloc(padding), data, index]);
}

/** As it comes over a socket: in pieces of any size. */
export async function* inPieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
