/** The decoders: the same as the ecosystem's codecs where those speak, a CodedError for everything hostile. */
import * as dagPb from '@ipld/dag-pb';
import fc from 'fast-check';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { cidOf, contentKey } from '../../src/unixfs/content-key.ts';
import { decodeDagNode } from '../../src/unixfs/dag-node.ts';
import { ProtobufReader } from '../../src/unixfs/protobuf-reader.ts';
import { decodeUnixfsData, UNIXFS_TYPES } from '../../src/unixfs/unixfs-data.ts';
import { decodeUnixfsEntry } from '../../src/unixfs/unixfs-entry.ts';
import {
  cidOfBytes,
  DAG_CBOR,
  DAG_PB,
  encodeDagPb,
  identityCid,
  message,
  RAW,
  TYPE,
  varint,
} from '../support/dag-builder.ts';

const someCid = fc
  .tuple(fc.constantFrom(RAW, DAG_PB, DAG_CBOR), fc.uint8Array({ maxLength: 40 }), fc.nat(2))
  .map(([codec, bytes, form]) => {
    if (form === 0) return identityCid(codec, bytes);
    const cid = cidOfBytes(form === 1 ? codec : DAG_PB, bytes);
    return form === 1 ? cid : cid.toV0();
  });

const someNode = fc.record({
  links: fc.array(
    fc.record({
      cid: someCid,
      name: fc.option(fc.string({ unit: 'binary', maxLength: 20 }), { nil: undefined }),
      size: fc.option(fc.maxSafeNat(), { nil: undefined }),
    }),
  ),
  data: fc.option(fc.uint8Array({ minLength: 1 }), { nil: undefined }),
});

const encodedNode = someNode.map(({ links, data }) => encodeDagPb(links.map(childOf), data));

function childOf({ cid, name, size }: { cid: CID; name: string | undefined; size: number | undefined }) {
  return { cid, name, tsize: size };
}

/** Well-formed bytes, a few of them changed: the mutants that random bytes never reach. */
function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }), fc.nat(4))
    .map(([bytes, changes, cut]) => {
      const mutant = Uint8Array.from(bytes).subarray(0, Math.max(0, bytes.length - (cut === 4 ? 1 : 0)));
      for (const [at, value] of changes) if (mutant.length > 0) mutant[at % mutant.length] = value;
      return mutant;
    });
}

function attempt<T>(work: () => T): T | 'refused' {
  try {
    return work();
  } catch {
    return 'refused';
  }
}

function oursOf(bytes: Uint8Array) {
  const { links, dataStart, dataEnd } = decodeDagNode(bytes);
  return {
    links: Array.from({ length: links.count }, (_, link) => ({
      key: links.key(link),
      name: Buffer.from(links.name(link)).toString('latin1'),
      size: links.size(link),
    })),
    data: Buffer.from(bytes.subarray(dataStart, dataEnd)).toString('hex'),
  };
}

describe('dag-pb', () => {
  test('decodes what @ipld/dag-pb encodes, names byte for byte', () => {
    fc.assert(
      fc.property(someNode, ({ links, data }) => {
        const bytes = encodeDagPb(links.map(childOf), data);
        expect(oursOf(bytes)).toEqual({
          links: links.map(({ cid, name, size }) => ({
            key: contentKey(cid),
            name: Buffer.from(name ?? '').toString('latin1'),
            size,
          })),
          data: Buffer.from(data ?? []).toString('hex'),
        });
      }),
    );
  });

  test('takes and refuses the bytes that @ipld/dag-pb does', () => {
    fc.assert(
      fc.property(fc.oneof(mutated(encodedNode), fc.uint8Array({ maxLength: 40 })), (bytes) => {
        const theirs = attempt(() => dagPb.decode(bytes));
        const ours = attempt(() => oursOf(bytes));
        if (theirs === 'refused') {
          expect(ours).toBe('refused');
        } else if (ours === 'refused') {
          // Stricter in one thing: CIDs of versions and forms that do not exist, and numbers longer than 64 bits.
          for (const { Hash } of theirs.Links) expect(Hash).toBeInstanceOf(CID);
          const canonical = attempt(() => dagPb.encode(theirs));
          expect(canonical === 'refused' || !Buffer.from(canonical).equals(bytes)).toBe(true);
        } else {
          expect(ours.links.map(({ key }) => key)).toEqual(theirs.Links.map(({ Hash }) => contentKey(Hash)));
          expect(ours.data).toBe(Buffer.from(theirs.Data ?? []).toString('hex'));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('takes no link for a CID that is none to everybody else', () => {
    const digest = new Array<number>(32).fill(7);
    for (const prefix of [
      [1, 0xf0, 0x00, 0x12, 0x20],
      [1, 0x70, 0x92, 0x80, 0x00, 0x20],
      [1, 0x70, 0x12, 0xa0, 0x00],
    ]) {
      const cid = Buffer.from([...prefix, ...digest]);
      const block = Buffer.from([0x12, cid.length + 2, 0x0a, cid.length, ...cid, 0x0a, 2, 8, 1]);
      expect(attempt(() => dagPb.decode(block))).toBe('refused');
      expect(attempt(() => oursOf(block))).toBe('refused');
    }
  });

  test('takes no link for a CID that is longer than any file was ever inlined', () => {
    const linkTo = (sizeBytes: number) => encodeDagPb([{ cid: identityCid(RAW, new Uint8Array(sizeBytes)) }]);
    expect(decodeDagNode(linkTo(2000)).links.count).toBe(1);
    expect(attempt(() => oursOf(linkTo(70_000)))).toBe('refused');
  });

  test('keeps a name that is no UTF-8, and a byte order mark', () => {
    const cid = cidOfBytes(RAW, Buffer.from('x'));
    for (const name of ['ef bb bf 61', 'e9 74 e9', 'ff']) {
      const raw = Buffer.from(name.replaceAll(' ', ''), 'hex');
      const { links } = decodeDagNode(encodeDagPb([{ cid, name: raw }]));
      expect(Buffer.from(links.name(0)).equals(raw)).toBe(true);
      expect(links.indexOf(raw)).toBe(0);
    }
  });

  test('a block of a quarter of a million links costs a few bytes a link', () => {
    const one = Buffer.from([0x12, 6, 0x0a, 4, 1, RAW, 0, 0]);
    const block = Buffer.concat(Array.from({ length: 262_144 }, () => one));
    const { links } = decodeDagNode(block);
    expect(links.count).toBe(262_144);
    expect(links.memoryBytes).toBeLessThan(block.length * 6);
  });
});

describe('UnixFS messages', () => {
  const someMessage = fc.record(
    {
      type: fc.constantFrom(0, 1, 2, 4, 5),
      data: fc.uint8Array({ maxLength: 20 }),
      fileSize: fc.maxSafeNat(),
      blockSizes: fc.array(fc.maxSafeNat(), { maxLength: 5 }),
      hashType: fc.nat(100),
      fanout: fc.nat(4096),
      mode: fc.integer({ min: 0, max: 0xffffffff }),
      mtime: fc.record(
        {
          seconds: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
          nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
        },
        { requiredKeys: ['seconds'] },
      ),
    },
    { requiredKeys: ['type'] },
  );

  test('every field comes out as it went in', () => {
    fc.assert(
      fc.property(someMessage, (fields) => {
        const bytes = message(fields);
        const data = decodeUnixfsData(bytes, 0, bytes.length);
        expect({ ...data, data: Buffer.from(bytes.subarray(data.dataStart, data.dataEnd)) }).toMatchObject({
          type: UNIXFS_TYPES[fields.type],
          data: Buffer.from(fields.data ?? []),
          fileSize: fields.fileSize,
          blockSizes: fields.blockSizes ?? [],
          hashType: fields.hashType,
          fanout: fields.fanout,
          mode: fields.mode === undefined ? undefined : fields.mode & 0o777,
          mtimeSeconds: fields.mtime?.seconds ?? 0,
          mtimeNanoseconds: fields.mtime?.nanoseconds ?? 0,
        });
      }),
    );
  });

  test('agrees with ipfs-unixfs', () => {
    fc.assert(
      fc.property(mutated(someMessage.map(message)), (bytes) => {
        const theirs = attempt(() => UnixFS.unmarshal(bytes));
        const ours = attempt(() => decodeUnixfsData(bytes, 0, bytes.length));
        if (theirs === 'refused' || ours === 'refused' || hasOtherWireType(bytes)) return;
        expect(ours.type === 'shard' ? 'hamt-sharded-directory' : ours.type).toBe(theirs.type);
        expect(Buffer.from(bytes.subarray(ours.dataStart, ours.dataEnd))).toEqual(Buffer.from(theirs.data ?? []));
      }),
      { numRuns: 1000 },
    );
  });

  /** Their decoder looks at a field's number alone; for protobuf one of another wire type is an unknown field. */
  function hasOtherWireType(bytes: Uint8Array): boolean {
    const wireTypes: Readonly<Record<number, number>> = { 1: 0, 2: 2, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 2 };
    const reader = new ProtobufReader(bytes, 0, bytes.length);
    while (reader.more) {
      const tag = reader.tag();
      const expected = wireTypes[Math.floor(tag / 8)];
      if (expected !== undefined && expected !== tag % 8) return true;
      reader.skip(tag % 8);
    }
    return false;
  }

  test.each([
    ['a field of number 0', [8, TYPE.file, 0, 1]],
    ['a field beyond 2^29', [8, TYPE.file, ...varint(2 ** 32), 1]],
  ])('refuses %s', (_name, bytes) => {
    expect(() => decodeUnixfsData(Buffer.from(bytes), 0, bytes.length)).toThrow(
      expect.objectContaining({ code: 'DAG_INVALID' }),
    );
  });

  test('packed block sizes are block sizes', () => {
    const packed = Buffer.from([8, TYPE.file, (4 << 3) | 2, 3, 1, ...varint(300)]);
    expect(decodeUnixfsData(packed, 0, packed.length).blockSizes).toEqual([1, 300]);
  });

  test.each([
    ['a negative second with nanoseconds', { seconds: -1, nanoseconds: 5 }, [-1, 5]],
    ['the year 4000', { seconds: 64_060_588_800 }, [64_060_588_800, 0]],
  ])('mtime: %s', (_name, mtime, expected) => {
    const bytes = message({ type: TYPE.file, mtime });
    const data = decodeUnixfsData(bytes, 0, bytes.length);
    expect([data.mtimeSeconds, data.mtimeNanoseconds]).toEqual(expected);
  });

  test.each([
    ['a second of more than 10^9 nanoseconds', { type: TYPE.file, mtime: { seconds: 1, nanoseconds: 1_000_000_000 } }],
    ['seconds beyond 2^53', { type: TYPE.file, mtime: { seconds: 2n ** 60n } }],
    ['no type', { data: Buffer.from('x') }],
    ['an unknown type', { type: 9 }],
  ])('refuses %s', (_name, fields) => {
    const bytes = message(fields);
    expect(() => decodeUnixfsData(bytes, 0, bytes.length)).toThrow(expect.objectContaining({ code: 'DAG_INVALID' }));
  });
});

describe('entries', () => {
  const dagPbKey = contentKey(cidOfBytes(DAG_PB, Buffer.from('x')));

  test('arbitrary bytes are an entry or DAG_INVALID', () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      mutated(encodedNode),
      mutated(
        fc
          .tuple(someNode, fc.constantFrom(0, 1, 2, 3, 4, 5), fc.uint8Array({ maxLength: 34 }))
          .map(([{ links }, type, data]) =>
            encodeDagPb(
              links.map(childOf),
              message({ type, data, hashType: 0x22, fanout: 256, blockSizes: links.map(({ size }) => size ?? 0) }),
            ),
          ),
      ),
    );
    fc.assert(
      fc.property(hostile, (bytes) => {
        try {
          expect(decodeUnixfsEntry(dagPbKey, bytes).kind).toMatch(/^(file|directory|shard|symlink)$/);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
          expect(error).toMatchObject({ code: 'DAG_INVALID' });
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('a claim of 2^63 bytes is refused, in a size and in the sum of sizes', () => {
    for (const fields of [
      { type: TYPE.file, fileSize: 2n ** 63n },
      { type: TYPE.file, blockSizes: [2n ** 63n] },
      { type: TYPE.file, blockSizes: [2 ** 53 - 1, 2 ** 53 - 1] },
    ]) {
      const children = (fields.blockSizes ?? []).map(() => ({ cid: cidOfBytes(RAW, Buffer.from('x')) }));
      const claims = encodeDagPb(children, message(fields));
      expect(() => decodeUnixfsEntry(dagPbKey, claims)).toThrow(/2\^53/);
    }
  });

  test('the specification’s empty entries', () => {
    const emptyDirectory = CID.parse('bafyaabakaieac');
    expect(decodeUnixfsEntry(contentKey(emptyDirectory), emptyDirectory.multihash.digest)).toMatchObject({
      kind: 'directory',
      entries: { count: 0 },
    });
    const v0 = CID.parse('QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn');
    const block = encodeDagPb([], message({ type: TYPE.directory }));
    expect(contentKey(cidOfBytes(DAG_PB, block))).toBe(contentKey(v0));
    expect(decodeUnixfsEntry(contentKey(v0), block).kind).toBe('directory');
    const emptyRaw = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku');
    expect(decodeUnixfsEntry(contentKey(emptyRaw), new Uint8Array(0))).toMatchObject({
      kind: 'file',
      file: { sizeBytes: 0 },
    });
    const inlineRaw = CID.parse('bafkqaaa');
    expect(decodeUnixfsEntry(contentKey(inlineRaw), inlineRaw.multihash.digest)).toMatchObject({ kind: 'file' });
  });

  test('CIDv0 and CIDv1 of one node are one key, which gives a CID back; another codec is another key', () => {
    const v1 = cidOfBytes(DAG_PB, Buffer.from('x'));
    expect(contentKey(v1.toV0())).toBe(contentKey(v1));
    expect(cidOf(contentKey(v1)).equals(v1)).toBe(true);
    expect(contentKey(cidOfBytes(RAW, Buffer.from('x')))).not.toBe(contentKey(v1));
  });
});
