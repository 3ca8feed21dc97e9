/** The packed table of files against a plain one, and the tables of slots that it is found through. */
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { describe, expect, test } from 'vitest';
import { ContentNodes } from '../../src/fs/content-nodes.ts';
import type { MountedVolume } from '../../src/fs/mounted-volume.ts';
import type { ContentNode } from '../../src/fs/node.ts';
import { RecordPages } from '../../src/fs/record-pages.ts';
import { RootDirectory } from '../../src/fs/root-directory.ts';
import { SlotIndex } from '../../src/fs/slot-index.ts';
import { VolumeSet } from '../../src/fs/volume-set.ts';
import { CODEC_RAW, type ContentKey, codecOf, contentKey } from '../../src/unixfs/content-key.ts';
import { volumeSpec } from '../support/mount-content.ts';

const RAW = 0x55;
const DAG_PB = 0x70;
const SHA_256 = 0x12;
const IDENTITY = 0;

/** Few of each, so that they meet: the usual shapes, other digests and hash functions, content in the CID itself. */
const keys: fc.Arbitrary<ContentKey> = fc
  .record({
    codec: fc.oneof(fc.constantFrom(RAW, DAG_PB, 0x71), fc.integer({ min: 0x300000, max: 0x300400 })),
    hash: fc.constantFrom(SHA_256, 0x1e, IDENTITY, 0x13),
    length: fc.constantFrom(0, 1, 20, 31, 32, 33, 64, 100),
    seed: fc.nat(3),
  })
  .map(({ codec, hash, length, seed }) => {
    const bytes = new Uint8Array(length).fill(7);
    // At either end: none may be told from its end, or its beginning, alone.
    if (length > 0) bytes[seed % 2 ? 0 : length - 1] = seed;
    return contentKey(CID.createV1(codec, create(hash, bytes)));
  });

function owners(): readonly MountedVolume[] {
  const root = new RootDirectory();
  const cid = CID.parse('bafkqaaa');
  return [0, 0, 1].map((uid, index) => root.add(volumeSpec(cid, { name: `v${index}`, uid })));
}

function nodeOf(id: number, key: ContentKey, volume: MountedVolume, sizeBytes: number): ContentNode {
  const symlink = id % 3 === 0;
  return {
    id,
    key,
    sizeBytes,
    appearance: {
      kind: symlink ? 'symlink' : 'file',
      mode: id % 0o1000,
      mtimeSeconds: id % 2 ? 0 : -(2 ** 40) - id,
      mtimeNanoseconds: id % 5 ? 0 : 999_999_999,
      owner: volume.owner,
    },
    lookups: id % 4,
    holders: VolumeSet.empty.with(volume),
    sizeVerified: id % 7 === 0,
  };
}

describe('the packed table of files', () => {
  test('is a plain one, whatever is added, changed, taken and asked for', () => {
    const [first, second, other] = owners() as [MountedVolume, MountedVolume, MountedVolume];
    const step = fc.record({
      do: fc.constantFrom('add', 'add', 'add', 'add', 'delete', 'look up', 'hold', 'verify'),
      key: keys,
      other: fc.boolean(),
      sizeBytes: fc.constantFrom(0, 1, 2 ** 21, 2 ** 53 - 1),
      id: fc.oneof(fc.nat(200), fc.integer({ min: 2 ** 52, max: 2 ** 52 + 9 })),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 300 }), (steps) => {
        const table = new ContentNodes();
        const plain = new Map<number, ContentNode>();
        for (const { do: what, key, other: isOther, sizeBytes, id } of steps) {
          const volume = isOther ? other : first;
          const raw = codecOf(key) === CODEC_RAW;
          const same = [...plain.values()].find(
            (node) =>
              node.key === key && node.appearance.owner === volume.owner && (!raw || node.sizeBytes === sizeBytes),
          );
          const found = table.find(volume.owner, key, sizeBytes);
          expect(found).toEqual(same);
          if (raw) expect(table.find(volume.owner, key, undefined)).toBeUndefined();
          const node = plain.get(id);
          expect(table.get(id)).toEqual(node);
          const changed = { ...(node ?? nodeOf(id + 2, key, volume, sizeBytes)) };
          if (what === 'add' && !same) {
            plain.set(id + 2, nodeOf(id + 2, key, volume, sizeBytes));
            table.set(nodeOf(id + 2, key, volume, sizeBytes));
          } else if (what === 'delete') {
            plain.delete(id);
            table.delete(id);
            expect(table.refresh(changed)).toBe(plain.has(changed.id));
          } else if (node && what === 'look up') {
            plain.set(id, { ...node, lookups: node.lookups + id });
            table.setLookups(changed, node.lookups + id);
            expect(changed.lookups).toBe(Math.min(node.lookups + id, 2 ** 32 - 1));
            if (id > 2 ** 32) plain.set(id, { ...node, lookups: 2 ** 32 - 1 });
          } else if (node && what === 'hold' && node.appearance.owner === first.owner) {
            plain.set(id, { ...node, holders: node.holders.with(second) });
            table.setHolders(changed, node.holders.with(second));
          } else if (node && what === 'verify') {
            plain.set(id, { ...node, sizeVerified: true });
            table.setSizeVerified(id);
          }
          expect(table.size).toBe(plain.size);
        }
        const byId = (a: ContentNode, b: ContentNode) => a.id - b.id;
        expect([...table.nodes()].sort(byId)).toEqual([...plain.values()].sort(byId));
      }),
    );
  });

  test('gives memory back, and finds what is left, where most of a hundred thousand end', () => {
    const [volume] = owners() as [MountedVolume];
    const table = new ContentNodes();
    const digest = Buffer.alloc(32);
    const keyOf = (id: number) => {
      digest.writeUInt32LE(id, 20);
      return contentKey(CID.createV1(DAG_PB, create(SHA_256, digest)));
    };
    const before = process.memoryUsage().arrayBuffers;
    for (let id = 2; id < 100_000; id++) table.set(nodeOf(id, keyOf(id), volume, id));
    const full = process.memoryUsage().arrayBuffers - before;
    // With what the tables of slots left behind when they grew.
    expect(full / 100_000).toBeLessThan(130);
    for (let id = 2; id < 100_000; id++) if (id % 30_000 !== 0) table.delete(id);
    expect([...table.nodes()].map(({ id }) => id).sort()).toEqual([30_000, 60_000, 90_000]);
    for (const id of [30_000, 60_000, 90_000]) expect(table.find(volume.owner, keyOf(id), 0)?.id).toBe(id);
    for (let id = 2; id < 1000; id++) table.set(nodeOf(id, keyOf(id), volume, id));
    expect(table.size).toBe(998 + 3);
  });
});

describe('a table of slots', () => {
  test('finds what is in it and nothing else, with hashes that meet', () => {
    const step = fc.record({ slot: fc.nat(3000), add: fc.boolean(), many: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(1, 3, 700, 2 ** 20), (steps, spread) => {
        // From the table's end around to its beginning, too.
        const hashOf = (slot: number) => 1020 + (slot % spread);
        const index = new SlotIndex(hashOf);
        const slots = new Set<number>();
        for (const { slot, add, many } of steps) {
          for (let each = slot; each < slot + (many ? 40 : 1); each++) {
            if (add && !slots.has(each)) {
              slots.add(each);
              index.add(each);
            } else if (!add) {
              slots.delete(each);
              index.delete(each);
            }
          }
        }
        expect(index.size).toBe(slots.size);
        for (let slot = 0; slot < 3040; slot++) {
          expect(index.find(hashOf(slot), (found) => found === slot)).toBe(slots.has(slot) ? slot : -1);
        }
      }),
      { numRuns: 40 },
    );
  });
});

test('pages of records give out each slot once, and again only what was given back', () => {
  const records = new RecordPages(8);
  const slots = Array.from({ length: 10_000 }, () => records.take());
  expect(new Set(slots).size).toBe(10_000);
  expect([...records.slots()].length).toBe(10_000);
  const [kept = 0] = slots;
  records.page(kept).doubles[records.index(kept)] = 7;
  for (const slot of slots.slice(1)) records.give(slot);
  expect([...records.slots()].length).toBeLessThanOrEqual(2 * 4096);
  const again = Array.from({ length: 20_000 }, () => records.take());
  expect(new Set([kept, ...again]).size).toBe(20_001);
  expect(records.page(kept).doubles[records.index(kept)]).toBe(7);
});
