/** Profiles: merging keeps everything in order, files round-trip, garbage is refused with one error and set aside on disk. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { base36 } from 'multiformats/bases/base36';
import { CID } from 'multiformats/cid';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import {
  type BlockGroup,
  type BootProfile,
  decodeProfile,
  encodeProfile,
  MAX_GROUP_BYTES,
  MAX_PROFILE_BLOCKS,
  MAX_PROFILE_BYTES,
  mergeProfiles,
  withoutBlock,
} from '../../src/prefetch/boot-profile.ts';
import { BootRecorder } from '../../src/prefetch/boot-recorder.ts';
import { ProfileStore } from '../../src/prefetch/profile-store.ts';
import { type ContentKey, contentKey } from '../../src/unixfs/content-key.ts';
import { makeBlock } from '../support/make-block.ts';

const CIDS = Array.from({ length: 30 }, (_, index) => makeBlock(`block ${index}`).cid);
const KEYS = CIDS.map(contentKey);
const ROOT = CIDS[0]?.toV1().toString() as string;
const profileOf = (keys: readonly ContentKey[], sizeBytes = 0, runs = 1): BootProfile => ({
  root: ROOT,
  runs,
  blocks: new Map(keys.map((key) => [key, sizeBytes])),
});
const run = fc.tuple(fc.shuffledSubarray(KEYS), fc.nat(2 ** 21)).map(([keys, size]) => profileOf(keys, size));

describe('a boot profile', () => {
  it('merged, drops nothing, keeps the first order, and is the same merged again', () => {
    fc.assert(
      fc.property(run, run, (before, later) => {
        const merged = mergeProfiles(before, later);
        const order = [...merged.blocks.keys()];
        expect(new Set(order)).toEqual(new Set([...before.blocks.keys(), ...later.blocks.keys()]));
        expect(order.filter((block) => before.blocks.has(block))).toEqual([...before.blocks.keys()]);
        for (const [block, size] of merged.blocks) {
          expect(size).toBe(Math.max(before.blocks.get(block) ?? 0, later.blocks.get(block) ?? 0));
        }
        expect(merged.runs).toBe(2);
        expect([...mergeProfiles(merged, later).blocks]).toEqual([...merged.blocks]);
      }),
    );
  });

  it('puts what is new behind what came before it', () => {
    const [a, b, c, d] = KEYS as [ContentKey, ContentKey, ContentKey, ContentKey];
    const merged = mergeProfiles(profileOf([a, b]), profileOf([d, a, c]));
    expect([...merged.blocks.keys()]).toEqual([d, a, c, b]);
  });

  it('comes back from its file', () => {
    fc.assert(
      fc.property(run, (profile) => {
        const decoded = decodeProfile(encodeProfile(profile));
        expect(decoded).toEqual(profile);
        expect([...decoded.blocks]).toEqual([...profile.blocks]);
      }),
    );
  });

  it('keeps its groups in its file and over merges, of blocks that it names with their sizes', () => {
    const [a, b, c, d, e, file, other] = KEYS as [ContentKey, ContentKey, ContentKey, ...ContentKey[]] as ContentKey[];
    const group = (key: unknown, ...blocks: unknown[]) => ({ key, blocks }) as BlockGroup;
    const shipped = { ...profileOf([a, b, c, d] as ContentKey[], 7), groups: [group(file, b, a), group(other, c, d)] };
    expect(decodeProfile(encodeProfile(shipped))).toEqual(shipped);
    const merged = mergeProfiles(shipped, profileOf([e, b] as ContentKey[], 9));
    expect([...merged.blocks.keys()]).toEqual([e, a, b, c, d]);
    expect(decodeProfile(encodeProfile(merged)).groups).toEqual(shipped.groups);
    expect(mergeProfiles(profileOf([e] as ContentKey[]), shipped).groups).toEqual(shipped.groups);
    expect(withoutBlock(shipped, c as ContentKey).groups).toEqual([shipped.groups[0]]);

    const text = JSON.parse(encodeProfile(shipped));
    const cid = text.blocks[0];
    const groups = [7, [7], [{ cid }], [{ cid, blocks: [] }], [{ cid: 'x', blocks: [0] }], [{ cid, blocks: [4] }]];
    for (const bad of [...groups, [{ cid, blocks: [-1] }], [{ cid, blocks: ['0'] }], [{ cid, blocks: [1, 1] }]]) {
      expect(refusal(JSON.stringify({ ...text, groups: bad }))).toBe('INPUT_INVALID');
    }
    expect(refusal(JSON.stringify({ ...text, sizes: [0, 7, 7, 7] }))).toBe('INPUT_INVALID');
  });

  it('leaves out a group that is larger than a block may be: its blocks come one by one', () => {
    const [a, b, c, d, file, other] = KEYS as ContentKey[] as [ContentKey, ContentKey, ContentKey, ...ContentKey[]];
    const half = MAX_GROUP_BYTES / 2;
    const sized = [a, b, c, d].map((key, index): [ContentKey, number] => [
      key as ContentKey,
      half + (index === 3 ? 1 : 0),
    ]);
    const groups = [
      [a, b],
      [c, d],
    ].map((blocks, index) => ({ key: index ? other : file, blocks }) as BlockGroup);
    const profile: BootProfile = { root: ROOT, runs: 1, blocks: new Map(sized), groups };
    const taken = decodeProfile(encodeProfile(profile));
    expect(taken.blocks.size).toBe(4);
    expect(taken.groups).toEqual([groups[0]]);
    const larger: BootProfile = { root: ROOT, runs: 1, blocks: new Map([[a, half + 1]]) };
    expect(mergeProfiles(taken, larger).groups).toBeUndefined();
  });

  it('is taken without sizes, as older programs wrote it', () => {
    const { sizes, ...older } = JSON.parse(encodeProfile(profileOf(KEYS, 7)));
    expect(sizes).toHaveLength(KEYS.length);
    expect(decodeProfile(JSON.stringify(older))).toEqual(profileOf(KEYS));
  });

  it('is refused with one error where it is anything else', () => {
    const text = encodeProfile(profileOf(KEYS));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.nat(text.length - 3).map((end) => text.slice(0, end)),
        ),
        (bad) => {
          expect(refusal(bad)).toBe('INPUT_INVALID');
        },
      ),
    );
    const badSizes = [-1, 0.5, '7', 2 ** 21 + 1].map((size) => ({ sizes: [size] }));
    for (const bad of [{ version: 2 }, { runs: 0 }, { root: 7 }, { blocks: ['x'] }, { blocks: [null] }, ...badSizes]) {
      expect(refusal(JSON.stringify({ ...JSON.parse(text), ...bad }))).toBe('INPUT_INVALID');
    }
  });

  it('may be as large as there is, and no more is read of what holds more than that', () => {
    const keys = Array.from({ length: MAX_PROFILE_BLOCKS }, (_, index) => contentKey(makeBlock(`block ${index}`).cid));
    const largest = { ...profileOf(keys, 7), groups: keys.map((key) => ({ key, blocks: [key] })) };
    expect(decodeProfile(encodeProfile(largest)).groups).toHaveLength(MAX_PROFILE_BLOCKS);
    const half = MAX_PROFILE_BYTES / 2;
    for (const bad of [
      '['.repeat(half) + ']'.repeat(half),
      `[${'{},'.repeat(2 ** 20)}0]`,
      `[${'0,'.repeat(2 ** 20)}0]`,
    ]) {
      expect(() => decodeProfile(bad)).toThrow('not a boot profile: it holds more than a profile may');
    }
  });

  it('records what was waited for, once, and how much of it was foretold', () => {
    const recorder = new BootRecorder(ROOT);
    const how = { origin: 'x', fetched: true } as const;
    const ahead = { ...how, priority: 'metadata' } as const;
    recorder.onBlock(CIDS[8] as (typeof CIDS)[0], 10, ahead);
    for (const index of [1, 2, 1]) {
      // A listing waits for its children.
      const needed = index === 2 ? ({ ...ahead, awaited: true } as const) : ({ ...how, priority: 'demand' } as const);
      recorder.onBlock(CIDS[index] as (typeof CIDS)[0], 10, needed);
      recorder.onBlock(CIDS[9] as (typeof CIDS)[0], 10, { ...how, priority: 'readahead' });
    }
    expect(recorder.profile()).toEqual(profileOf([KEYS[1], KEYS[2]] as ContentKey[], 10));
    expect(recorder.hitShare).toBeNull();
    recorder.foretold(profileOf([KEYS[1] as ContentKey]));
    expect(recorder.hitShare).toBe(0.5);
    expect(recorder.bytesDemanded).toBe(20);
  });

  it('records what a block measures from whoever was given all of it', () => {
    const recorder = new BootRecorder(ROOT);
    const how = { origin: 'x', fetched: false, priority: 'demand' } as const;
    const [part, whole, both] = CIDS as [CID, CID, CID];
    recorder.onBlock(part, 4096, { ...how, part: true });
    recorder.onBlock(whole, 5000, how);
    recorder.onBlock(both, 6000, how);
    recorder.onBlock(both, 7000, { ...how, part: true });
    expect([...(recorder.profile()?.blocks.values() ?? [])]).toEqual([0, 5000, 6000]);
  });

  it('counts a block once, however often its file asks for it: all of it, or the pieces of one never given whole', () => {
    const recorder = new BootRecorder(ROOT);
    const how = { origin: 'x', fetched: false, priority: 'demand' } as const;
    const [pieces, whole, fetched] = CIDS as [CID, CID, CID];
    recorder.onBlock(pieces, 4096, { ...how, part: true });
    recorder.onBlock(pieces, 4096, { ...how, part: true });
    expect(recorder.bytesDemanded).toBe(8192);
    for (const part of [false, true, true, false]) recorder.onBlock(fetched, 10_000, { ...how, part });
    expect(recorder.bytesDemanded).toBe(18_192);
    // Two pieces first, then all of it: what was counted of it already is a part of that.
    for (const part of [true, true, false]) recorder.onBlock(whole, part ? 3000 : 10_000, { ...how, part });
    expect(recorder.bytesDemanded).toBe(28_192);
  });
});

describe('profiles on disk', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'profiles-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('are kept by root, merged over runs, and found by a later store', async () => {
    const first = new ProfileStore(directory, silentLogger());
    first.merge(profileOf([KEYS[1] as ContentKey]));
    first.merge(profileOf([KEYS[2] as ContentKey]));
    await first.import(profileOf([KEYS[3] as ContentKey]), 'mine');
    const later = new ProfileStore(directory, silentLogger());
    // The import brought a block, and a run that may be one of those two.
    expect(later.get(ROOT)?.runs).toBe(2);
    expect(later.get(ROOT)?.blocks.size).toBe(3);
    expect(later.get('mine')).toEqual(profileOf([KEYS[3] as ContentKey]));
    expect(
      later
        .list()
        .map(({ name }) => name)
        .sort(),
    ).toEqual([ROOT, 'mine'].sort());
    expect(later.get('../x')).toBeUndefined();
  });

  it('are the same after the same import again, and count no run of their own twice', async () => {
    const store = new ProfileStore(directory, silentLogger());
    const profile = profileOf(KEYS.slice(0, 3), 100, 2);
    for (let time = 0; time < 3; time++) await store.import(profile, 'mine');
    expect([store.get(ROOT), store.get('mine')]).toEqual([profile, profile]);
    expect([store.has('mine'), store.has('yours'), store.has('../mine')]).toEqual([true, false, false]);
  });

  it('are not kept under the name of another root, whose own would be lost', async () => {
    const store = new ProfileStore(directory, silentLogger());
    const other = { ...profileOf([KEYS[3] as ContentKey]), root: makeBlock('another root').cid.toString() };
    store.merge(profileOf([KEYS[1] as ContentKey]));
    for (const name of [ROOT, CID.parse(ROOT).toString(base36), '../x'])
      await expect(store.import(other, name)).rejects.toThrow(/cannot be the name of a profile/);
    expect(store.get(ROOT)).toEqual(profileOf([KEYS[1] as ContentKey]));
    expect(store.list()).toHaveLength(1);
  });

  it('are set aside where they are damaged', () => {
    const store = new ProfileStore(directory, silentLogger());
    writeFileSync(join(directory, `${ROOT}.json`), '{"version":1,');
    expect(store.get(ROOT)).toBeUndefined();
    expect(readdirSync(directory)).toEqual([`${ROOT}.json.damaged`]);
    expect(store.merge(profileOf([KEYS[0] as ContentKey])).blocks.size).toBe(1);
  });

  it('stay where the disk does not give them, and are not written over', () => {
    const store = new ProfileStore(directory, silentLogger());
    const path = join(directory, `${ROOT}.json`);
    symlinkSync(path, path);
    expect(store.get(ROOT)).toBeUndefined();
    expect(store.merge(profileOf([KEYS[0] as ContentKey])).blocks.size).toBe(1);
    expect(readdirSync(directory)).toEqual([`${ROOT}.json`]);
    expect(readlinkSync(path)).toBe(path);
  });
});

function refusal(text: string): string {
  try {
    decodeProfile(text);
    return 'taken';
  } catch (error) {
    return codeOf(error);
  }
}
