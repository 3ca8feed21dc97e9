/**
 * DAGs at the limits, made block by block and streamed as a CAR whose last block is the root (`import?root=last`): no test
 * holds them whole, nor writes a million files.
 */
import { hash } from 'node:crypto';
import { murmur364 } from '@multiformats/murmur3';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import type { Block } from '../../src/blocks/block.ts';
import { cidOfBytes, DAG_PB, encodeDagPb, message, RAW, slotPrefix, TYPE, varint } from './dag-builder.ts';

/** Of the names, one in so many has its block in the CAR; the others are known by their links alone. */
const EVERY = 100_000;

/** The name of entry `index`, which is the file's content too. */
export function entryName(index: number): string {
  return `entry${String(index).padStart(7, '0')}`;
}

/** True where `hamtOf` brings the block of the file too. */
export function isReadable(index: number): boolean {
  return index % EVERY === 0;
}

/** A directory of `count` raw files in shards of 256, as Kubo would make it; the root comes last. */
export function* hamtOf(count: number): Generator<Block> {
  const hashes = new DataView(new ArrayBuffer(count * 8));
  for (let index = 0; index < count; index++) {
    new Uint8Array(hashes.buffer, index * 8, 8).set(murmur364.encode(Buffer.from(entryName(index))) as Uint8Array);
    if (isReadable(index)) yield block(RAW, Buffer.from(entryName(index)));
  }
  const order = Uint32Array.from({ length: count }, (_, index) => index).sort(
    (a, b) =>
      hashes.getUint32(a * 8) - hashes.getUint32(b * 8) || hashes.getUint32(a * 8 + 4) - hashes.getUint32(b * 8 + 4),
  );
  yield* shard(0, count, 0);

  /** The entries `from`..`to` of the order, which agree in `depth` bytes of their hashes. Returns its CID. */
  function* shard(from: number, to: number, depth: number): Generator<Block, CID> {
    const links: { cid: CID; name: string; tsize: number }[] = [];
    let field = 0n;
    const slotAt = (at: number) => hashes.getUint8((order[at] as number) * 8 + depth);
    for (let start = from; start < to; ) {
      const slot = slotAt(start);
      let end = start + 1;
      while (end < to && slotAt(end) === slot) end++;
      field |= 1n << BigInt(slot);
      const prefix = slotPrefix(slot, 256);
      if (end - start > 1) {
        links.push({ cid: yield* shard(start, end, depth + 1), name: prefix, tsize: 0 });
      } else {
        const name = entryName(order[start] as number);
        links.push({ cid: rawCid(name), name: prefix + name, tsize: name.length });
      }
      start = end;
    }
    const hex = field.toString(16);
    const data = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
    const made = block(DAG_PB, encodeDagPb(links, message({ type: TYPE.shard, data, hashType: 0x22, fanout: 256 })));
    yield made;
    return made.cid;
  }
}

/** A file of one byte a level, `levels` nodes deep, each with the rest of the file below it; the root comes last. */
export function* deepFile(levels: number): Generator<Block> {
  let below = block(RAW, Buffer.from('x'));
  yield below;
  for (let size = 1; size < levels; size++) {
    const fields = { type: TYPE.file, data: Buffer.from('x'), fileSize: size + 1, blockSizes: [size] };
    below = block(DAG_PB, encodeDagPb([{ cid: below.cid }], message(fields)));
    yield below;
  }
}

/** Directories in each other, `levels` of them, named `d`, and a file `f` in the innermost; the root comes last. */
export function* deepDirectories(levels: number): Generator<Block> {
  const file = block(RAW, Buffer.from('f'));
  yield file;
  let child = { cid: file.cid, name: 'f', tsize: 1 };
  for (let level = 0; level < levels; level++) {
    const directory = block(DAG_PB, encodeDagPb([child], message({ type: TYPE.directory })));
    yield directory;
    child = { cid: directory.cid, name: 'd', tsize: 1 };
  }
}

/** A CARv1 that names no root. */
export function* carOf(blocks: Iterable<Block>): Generator<Uint8Array> {
  // The length of the header, and {"roots": [], "version": 1} in dag-cbor.
  yield Buffer.from('11a265726f6f7473806776657273696f6e01', 'hex');
  for (const { cid, bytes } of blocks) {
    yield Buffer.concat([Buffer.from(varint(cid.bytes.length + bytes.length)), cid.bytes, bytes]);
  }
}

function block(codec: number, bytes: Uint8Array): Block {
  return { cid: cidOfBytes(codec, bytes), bytes };
}

function rawCid(content: string): CID {
  return CID.createV1(RAW, create(0x12, new Uint8Array(hash('sha256', content, 'buffer'))));
}
