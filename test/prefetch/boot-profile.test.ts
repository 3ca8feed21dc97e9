/** Profiles: merging keeps everything in order, files round-trip, garbage is refused with one error and set aside on disk. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type BootProfile, decodeProfile, encodeProfile, mergeProfiles } from '../../src/prefetch/boot-profile.ts';
import { BootRecorder } from '../../src/prefetch/boot-recorder.ts';
import { ProfileStore } from '../../src/prefetch/profile-store.ts';
import { makeBlock } from '../support/make-block.ts';

const CIDS = Array.from({ length: 30 }, (_, index) => makeBlock(`block ${index}`).cid);
const TEXTS = CIDS.map((cid) => cid.toV1().toString());
const ROOT = TEXTS[0] as string;
const run = fc.shuffledSubarray(TEXTS).map((blocks): BootProfile => ({ root: ROOT, runs: 1, blocks }));

describe('a boot profile', () => {
  it('merged, drops nothing, keeps the first order, and is the same merged again', () => {
    fc.assert(
      fc.property(run, run, (before, later) => {
        const merged = mergeProfiles(before, later);
        expect(new Set(merged.blocks)).toEqual(new Set([...before.blocks, ...later.blocks]));
        expect(merged.blocks).toHaveLength(new Set(merged.blocks).size);
        expect(merged.blocks.filter((block) => before.blocks.includes(block))).toEqual(before.blocks);
        expect(merged.runs).toBe(2);
        expect(mergeProfiles(merged, later).blocks).toEqual(merged.blocks);
      }),
    );
  });

  it('puts what is new behind what came before it', () => {
    const [a, b, c, d] = TEXTS as [string, string, string, string];
    const before = { root: ROOT, runs: 1, blocks: [a, b] };
    expect(mergeProfiles(before, { root: ROOT, runs: 1, blocks: [d, a, c] }).blocks).toEqual([d, a, c, b]);
  });

  it('comes back from its file', () => {
    fc.assert(
      fc.property(run, (profile) => {
        expect(decodeProfile(encodeProfile(profile))).toEqual(profile);
      }),
    );
  });

  it('is refused with one error where it is anything else', () => {
    const text = encodeProfile({ root: ROOT, runs: 1, blocks: TEXTS });
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
    for (const bad of [{ version: 2 }, { runs: 0 }, { root: 7 }, { blocks: ['x'] }, { blocks: [null] }]) {
      expect(refusal(JSON.stringify({ ...JSON.parse(text), ...bad }))).toBe('INPUT_INVALID');
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
    expect(recorder.profile()).toEqual({ root: ROOT, runs: 1, blocks: [TEXTS[1], TEXTS[2]] });
    expect(recorder.hitShare).toBeNull();
    recorder.foretold({ root: ROOT, runs: 1, blocks: [TEXTS[1] as string] });
    expect(recorder.hitShare).toBe(0.5);
    expect(recorder.bytesDemanded).toBe(30);
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
    first.merge({ root: ROOT, runs: 1, blocks: [TEXTS[1] as string] });
    first.merge({ root: ROOT, runs: 1, blocks: [TEXTS[2] as string] });
    await first.import({ root: ROOT, runs: 1, blocks: [TEXTS[3] as string] }, 'mine');
    const later = new ProfileStore(directory, silentLogger());
    // The import brought a block, and a run that may be one of those two.
    expect(later.get(ROOT)?.runs).toBe(2);
    expect(later.get(ROOT)?.blocks).toHaveLength(3);
    expect(later.get('mine')?.blocks).toEqual([TEXTS[3]]);
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
    const profile = { root: ROOT, runs: 2, blocks: TEXTS.slice(0, 3) };
    for (let time = 0; time < 3; time++) await store.import(profile, 'mine');
    expect([store.get(ROOT), store.get('mine')]).toEqual([profile, profile]);
    expect([store.has('mine'), store.has('yours'), store.has('../mine')]).toEqual([true, false, false]);
  });

  it('are set aside where they are damaged', () => {
    const store = new ProfileStore(directory, silentLogger());
    writeFileSync(join(directory, `${ROOT}.json`), '{"version":1,');
    expect(store.get(ROOT)).toBeUndefined();
    expect(readdirSync(directory)).toEqual([`${ROOT}.json.damaged`]);
    expect(store.merge({ root: ROOT, runs: 1, blocks: [ROOT] }).blocks).toEqual([ROOT]);
  });

  it('stay where the disk does not give them, and are not written over', () => {
    const store = new ProfileStore(directory, silentLogger());
    const path = join(directory, `${ROOT}.json`);
    symlinkSync(path, path);
    expect(store.get(ROOT)).toBeUndefined();
    expect(store.merge({ root: ROOT, runs: 1, blocks: [ROOT] }).blocks).toEqual([ROOT]);
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
