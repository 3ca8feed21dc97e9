/**
 * Builds DAGs for tests, well-formed and not: UnixFS messages field by field, dag-pb blocks, files of any shape, HAMTs of
 * any fanout.
 */
import { createHash } from 'node:crypto';
import { murmur364 } from '@multiformats/murmur3';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import type { BlockMap } from './block-map.ts';

export const RAW = 0x55;
export const DAG_PB = 0x70;
export const DAG_CBOR = 0x71;

export interface Message {
  readonly type?: number;
  readonly data?: Uint8Array;
  readonly fileSize?: number | bigint;
  readonly blockSizes?: readonly (number | bigint)[];
  readonly hashType?: number;
  readonly fanout?: number | bigint;
  readonly mode?: number;
  readonly mtime?: { readonly seconds: number | bigint; readonly nanoseconds?: number };
}

export interface Child {
  readonly cid: CID;
  readonly name?: string | Uint8Array | undefined;
  /** What its link claims. */
  readonly tsize?: number | undefined;
}

export interface NamedChild {
  readonly cid: CID;
  readonly name: string;
}

/** A node of a file with what it stands for. */
export interface FilePart {
  readonly cid: CID;
  readonly size: number;
}

export const TYPE = { raw: 0, directory: 1, file: 2, metadata: 3, symlink: 4, shard: 5 } as const;

export function varint(value: number | bigint): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return bytes;
}

export function message({ type, data, fileSize, blockSizes, hashType, fanout, mode, mtime }: Message): Uint8Array {
  const number = (field: number, value: number | bigint | undefined) =>
    value === undefined ? [] : [field << 3, ...varint(value)];
  const bytes = (field: number, value: ArrayLike<number> | undefined) =>
    value === undefined
      ? []
      : [Buffer.from([(field << 3) | 2, ...varint(value.length)]), Buffer.from(Array.from(value))];
  const time = mtime && [
    ...number(1, mtime.seconds),
    ...(mtime.nanoseconds === undefined ? [] : [(2 << 3) | 5, ...little(mtime.nanoseconds)]),
  ];
  return Buffer.concat([
    Buffer.from(number(1, type)),
    ...bytes(2, data),
    Buffer.from(number(3, fileSize)),
    Buffer.from((blockSizes ?? []).flatMap((size) => number(4, size))),
    Buffer.from(number(5, hashType)),
    Buffer.from(number(6, fanout)),
    Buffer.from(number(7, mode)),
    ...bytes(8, time),
  ]);
}

/** A dag-pb block with those links as they are: unsorted, or of one name, if so given. */
export function encodeDagPb(children: readonly Child[], data?: Uint8Array): Uint8Array {
  const field = (tag: number, value: Uint8Array) => [Buffer.from([tag, ...varint(value.length)]), value];
  const links = children.map(({ cid, name, tsize }) =>
    Buffer.concat([
      ...field(0x0a, cid.bytes),
      ...(name === undefined ? [] : field(0x12, Buffer.from(name))),
      Buffer.from(tsize === undefined ? [] : [0x18, ...varint(tsize)]),
    ]),
  );
  return Buffer.concat([...links.flatMap((link) => field(0x12, link)), ...(data ? field(0x0a, data) : [])]);
}

function little(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

export function cidOfBytes(codec: number, bytes: Uint8Array): CID {
  return CID.createV1(codec, create(0x12, new Uint8Array(createHash('sha256').update(bytes).digest())));
}

export function identityCid(codec: number, bytes: Uint8Array): CID {
  return CID.createV1(codec, create(0, bytes));
}

export class DagBuilder {
  readonly blocks: BlockMap;

  constructor(blocks: BlockMap) {
    this.blocks = blocks;
  }

  block(codec: number, bytes: Uint8Array): CID {
    return this.blocks.put(cidOfBytes(codec, bytes), bytes);
  }

  raw(bytes: Uint8Array): CID {
    return this.block(RAW, bytes);
  }

  /** Any message with any links: nothing is checked. */
  node(data: Message | Uint8Array, children: readonly Child[] = []): CID {
    return this.block(DAG_PB, encodeDagPb(children, data instanceof Uint8Array ? data : message(data)));
  }

  directory(children: readonly Child[], extra: Message = {}): CID {
    return this.node({ type: TYPE.directory, ...extra }, children);
  }

  symlink(target: Uint8Array | string, extra: Message = {}): CID {
    return this.node({ type: TYPE.symlink, data: Buffer.from(target), ...extra });
  }

  rawPart(bytes: Uint8Array): FilePart {
    return { cid: this.raw(bytes), size: bytes.length };
  }

  /** A node of a file: `data` of its own, then `parts`. */
  part(parts: readonly FilePart[], data: Uint8Array = new Uint8Array(0), extra: Message = {}): FilePart {
    const size = parts.reduce((sum, part) => sum + part.size, data.length);
    const blockSizes = parts.map((part) => part.size);
    const fields = { type: TYPE.file, ...(data.length > 0 ? { data } : {}), fileSize: size, blockSizes, ...extra };
    return {
      cid: this.node(
        fields,
        parts.map(({ cid }) => ({ cid })),
      ),
      size,
    };
  }

  /** A sharded directory of those children, as Kubo would make it. */
  hamt(children: readonly NamedChild[], fanout: number): CID {
    const bits = Math.log2(fanout);
    return this.#shard(
      children.map((child) => ({ child, hash: hashBits(child.name) })),
      fanout,
      bits,
      0,
    );
  }

  #shard(entries: readonly { child: NamedChild; hash: bigint }[], fanout: number, bits: number, depth: number): CID {
    const slots = Map.groupBy(entries, ({ hash }) =>
      Number((hash >> BigInt(64 - (depth + 1) * bits)) & BigInt(fanout - 1)),
    );
    const links: Child[] = [...slots]
      .sort(([a], [b]) => a - b)
      .map(([slot, inside]) => {
        const prefix = slotPrefix(slot, fanout);
        const [only] = inside;
        if (only && inside.length === 1) return { cid: only.child.cid, name: prefix + only.child.name };
        return { cid: this.#shard(inside, fanout, bits, depth + 1), name: prefix };
      });
    return this.shard([...slots.keys()], links, fanout);
  }

  /** One shard of those slots and links, whether they fit or not. */
  shard(slots: readonly number[], links: readonly Child[], fanout: number, extra: Message = {}): CID {
    const field = slots.reduce((sum, slot) => sum | (1n << BigInt(slot)), 0n);
    const hex = field === 0n ? '' : field.toString(16);
    const data = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
    return this.node({ type: TYPE.shard, data, hashType: 0x22, fanout, ...extra }, links);
  }
}

export function slotPrefix(slot: number, fanout: number): string {
  return slot
    .toString(16)
    .toUpperCase()
    .padStart((fanout - 1).toString(16).length, '0');
}

export function hashBits(name: string): bigint {
  return BigInt(`0x${Buffer.from(murmur364.encode(Buffer.from(name)) as Uint8Array).toString('hex')}`);
}
