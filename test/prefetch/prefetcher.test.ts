/** The prefetcher by a clock of the test's and a source that counts: what it fetches, when it stops, what it says of a start. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CID } from 'multiformats/cid';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodedError, codeOf } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { chain, type MaybePromise } from '../../src/base/maybe-promise.ts';
import { type BlockKey, blockKey } from '../../src/blocks/block.ts';
import type { WantOptions } from '../../src/blocks/block-reader.ts';
import { MountedVolume } from '../../src/fs/mounted-volume.ts';
import type { BlockGroup, BootProfile } from '../../src/prefetch/boot-profile.ts';
import type { Pinner } from '../../src/prefetch/pins.ts';
import type { PrefetchOptions } from '../../src/prefetch/prefetch-job.ts';
import { Prefetcher } from '../../src/prefetch/prefetcher.ts';
import { ProfileStore } from '../../src/prefetch/profile-store.ts';
import { PROFILE_ENTRY, START_ENTRY, shippedText } from '../../src/prefetch/shipped-profile.ts';
import { UnpinList } from '../../src/prefetch/unpin-list.ts';
import { type ContentKey, contentKey } from '../../src/unixfs/content-key.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { makeBlock } from '../support/make-block.ts';
import { volumeSpec } from '../support/mount-content.ts';

const OWNER = { uid: 0, gid: 0, fileMode: 0o444, dirMode: 0o555 };
const AUTO: PrefetchOptions = { prefetch: 'auto', pin: false, profile: undefined };
const PART_BYTES = 10_000;
const FILES = 30;

describe('the prefetcher', () => {
  let directory: string;
  let clock: FakeClock;
  let blocks: BlockMap;
  let root: CID;
  let leaves: CID[];
  let limitBytes: number;
  let evictions: number;
  let unanswered: number;
  let waitingBytes: number;
  let pinnedBytes: number;
  let pinned: Set<BlockKey>;
  let unpinned: BlockKey[];
  /** Called after some were. */
  let onUnpin: () => unknown = () => undefined;
  let said: { level: string; fields: Record<string, unknown>; message: string }[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'prefetcher-'));
    clock = new FakeClock();
    blocks = new AccountedBlocks();
    said = [];
    pinned = new Set();
    unpinned = [];
    limitBytes = 1e9;
    evictions = 0;
    unanswered = 0;
    waitingBytes = 0;
    pinnedBytes = 0;
    const dag = new DagBuilder(blocks);
    leaves = Array.from({ length: FILES }, (_, index) => dag.raw(Buffer.alloc(PART_BYTES, `file ${index} `)));
    const entries = entriesOf(leaves);
    root = dag.directory(entries);
    blocks.makeAllRemote();
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  /** As a daemon that starts: nothing in memory, everything on disk. */
  function start(pinner?: Pinner, settleMs = 0): Prefetcher {
    const cache = {
      has: (key: BlockKey) => blocks.blocks.has(key),
      pin: (keys: Iterable<BlockKey>) => {
        for (const key of keys) pinned.add(key);
      },
      unpin: async (keys: Iterable<BlockKey>) => {
        for (const key of keys) {
          pinned.delete(key);
          unpinned.push(key);
        }
        onUnpin();
      },
      evict: async () => 0,
      get waitingBytes() {
        return waitingBytes;
      },
      statistics: () => ({ limitBytes, evictions }),
      get roomBytes() {
        return limitBytes;
      },
      get pinnedBytes() {
        return pinnedBytes;
      },
      get freeBytes() {
        return limitBytes;
      },
      newcomersBytes: 0,
      preferNew: () => () => {},
      hold: () => () => {},
    };
    const profiles = new ProfileStore(directory, logger());
    const unpinList = new UnpinList(join(directory, 'unpinning'), logger());
    const unixfs = new UnixfsReader(blocks);
    const nameOf = (name: string) => `volume ${name}`;
    return new Prefetcher({
      unixfs,
      cache,
      profiles,
      unpinList,
      pinner,
      logger: logger(),
      nameOf,
      clock,
      settleMs,
      unanswered: () => unanswered,
    });
  }

  function logger(context: object = {}): Logger {
    const at = (level: string) => (fields: object, message: string) => {
      said.push({ level, fields: { ...context, ...fields }, message });
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (more) => logger({ ...context, ...more }),
    };
  }

  function mounted(prefetcher: Prefetcher, options = AUTO, content = root, starting = true): MountedVolume {
    const volume = new MountedVolume(volumeSpec(content), OWNER, 1);
    prefetcher.mounted('v', volume, options, starting);
    return volume;
  }

  /** As a reader who gets the whole of `cid`. */
  async function read(volume: MountedVolume, cid: CID): Promise<void> {
    const bytes = await blocks.get(cid, { priority: 'demand', account: volume.account });
    volume.delivered(bytes.length, () => clock.nowMs());
  }

  /** Written as soon as the disk answers. */
  const profileIsKept = () => until(() => readdirSync(directory).some((file) => file.endsWith('.json')));

  /** Lets `turnMs` pass at each look. */
  async function until(holds: () => boolean, turnMs = 0): Promise<void> {
    for (let turn = 0; !holds(); turn++) {
      if (turn > 10_000) throw new Error('never');
      await clock.advance(turnMs);
    }
  }

  const startLines = () => said.filter(({ message }) => message === 'start-up complete').map(({ fields }) => fields);
  const fetchedTwice = () => blocks.fetched.length - new Set(blocks.fetched.map(({ cid }) => cid.toString())).size;

  it('says one line of a start that grows quiet, and the next start finds its profile', async () => {
    const first = start();
    const volume = mounted(first, { ...AUTO, prefetch: 'none' });
    await settle();
    // A container may be made long before it runs.
    await clock.advance(500_000);
    await read(volume, leaves[7] as CID);
    await clock.advance(10_000);
    await read(volume, leaves[3] as CID);
    await clock.advance(29_000);
    expect(startLines()).toEqual([]);
    await clock.advance(2000);
    const line = { volume: 'volume v', firstByteMs: 500_000, bytesDemanded: 2 * PART_BYTES, bytesPrefetched: 0 };
    expect(startLines()).toEqual([{ ...line, profileHitShare: null, endedBy: 'quiet' }]);
    await read(volume, leaves[1] as CID);
    first.unmounted('v');
    expect(startLines()).toHaveLength(1);
    await settle();
    expect(clock.timers).toBe(0);

    await profileIsKept();
    await until(() => first.progress('v')?.profile === '2 blocks of 1 run, recorded');
    blocks.makeAllRemote();
    blocks.fetched.length = 0;
    const second = start();
    const again = mounted(second);
    await until(() => second.progress('v')?.complete === true);
    const order = blocks.fetched.map(({ cid }) => cid.toString()).slice(0, 3);
    expect(order).toEqual([leaves[7], leaves[3], root].map(String));
    await read(again, leaves[7] as CID);
    await read(again, leaves[0] as CID);
    second.unmounted('v');
    const [, later] = startLines();
    expect(later).toMatchObject({ profileHitShare: 0.5, endedBy: 'unmount', firstByteMs: 0 });
    expect(later?.bytesPrefetched).toBeGreaterThan(FILES * PART_BYTES);
    expect(fetchedTwice()).toBe(0);
  });

  it('leaves the background alone while a start goes on, for half a minute at the most', async () => {
    const prefetcher = start();
    const volume = mounted(prefetcher);
    await read(volume, leaves[0] as CID);
    const before = blocks.fetched.length;
    for (let at = 1; at <= 70; at++) {
      await clock.advance(400);
      await read(volume, leaves[at % 4] as CID);
    }
    // The readers' own, and what was on its way by then.
    expect(blocks.fetched.length).toBeLessThanOrEqual(before + 3 + 1);
    expect(prefetcher.progress('v')?.complete).toBe(false);
    for (let at = 0; at < 10; at++) {
      await clock.advance(400);
      await read(volume, leaves[0] as CID);
    }
    await until(() => prefetcher.progress('v')?.complete === true);
    prefetcher.unmounted('v');
  });

  it('leaves a container alone that is about to start, but for its profile', async () => {
    const first = start();
    const volume = mounted(first, { ...AUTO, prefetch: 'none' });
    await read(volume, root);
    await read(volume, leaves[7] as CID);
    first.unmounted('v');
    await profileIsKept();
    blocks.makeAllRemote();
    blocks.fetched.length = 0;
    const second = start(undefined, 500);
    mounted(second);
    // A busy machine takes some turns for it.
    await until(() => blocks.fetched.length === 2);
    await clock.advance(499);
    for (let turn = 0; turn < 10; turn++) await settle();
    expect(blocks.fetched.map(({ cid }) => cid.toString())).toEqual([root, leaves[7]].map(String));
    await clock.advance(1);
    await until(() => second.progress('v')?.complete === true);
    second.unmounted('v');
  });

  it('has the background beside a program that reads more than a start does', async () => {
    const prefetcher = start();
    const volume = mounted(prefetcher);
    await read(volume, leaves[0] as CID);
    const given = { priority: 'demand', origin: 'disk cache', fetched: false } as const;
    volume.account(leaves[1] as CID, 60 * 1024 ** 2, given);
    await clock.advance(400);
    await settle();
    expect(prefetcher.progress('v')?.complete).toBe(false);
    volume.account(leaves[2] as CID, 4 * 1024 ** 2, given);
    await clock.advance(400);
    await until(() => prefetcher.progress('v')?.complete === true);
    prefetcher.unmounted('v');
  });

  it('goes on with the background as soon as a start is quiet', async () => {
    const prefetcher = start();
    const volume = mounted(prefetcher);
    await read(volume, leaves[0] as CID);
    await clock.advance(600);
    await until(() => prefetcher.progress('v')?.complete === true);
    prefetcher.unmounted('v');
  });

  it('ends a start that never grows quiet after its time, and says nothing of one that is taken over', async () => {
    const prefetcher = start();
    const volume = mounted(prefetcher, { ...AUTO, prefetch: 'none' });
    for (let second = 0; second < 130; second += 10) {
      await read(volume, leaves[second / 10] as CID);
      await clock.advance(10_000);
    }
    expect(startLines()).toMatchObject([{ endedBy: 'time', bytesDemanded: 12 * PART_BYTES }]);
    prefetcher.unmounted('v');

    const next = start();
    const goesOn = mounted(next, { ...AUTO, prefetch: 'none' }, root, false);
    await settle();
    await read(goesOn, leaves[20] as CID);
    await clock.advance(200_000);
    next.unmounted('v');
    expect(startLines()).toHaveLength(1);
    await Promise.all([prefetcher.close(), next.close()]);
    expect(new ProfileStore(directory, logger()).get(root.toString())?.blocks).toHaveLength(12);
  });

  it('goes on where it was after an unmount and after a restart, and fetches nothing twice', async () => {
    const first = start();
    mounted(first);
    await until(() => blocks.fetched.length > 5);
    first.unmounted('v');
    // What was on its way comes, and nothing more.
    for (let turn = 0; turn < 5; turn++) await settle();
    const atUnmount = blocks.fetched.length;
    await clock.advance(3_600_000);
    expect(blocks.fetched).toHaveLength(atUnmount);
    mounted(first);
    first.unmounted('v');
    const second = start();
    mounted(second);
    await until(() => second.progress('v')?.complete === true);
    expect(fetchedTwice()).toBe(0);
    expect(blocks.fetched).toHaveLength(FILES + 1);
    expect(second.progress('v')).toMatchObject({ prefetching: false, bytesCached: second.progress('v')?.bytesTotal });
  });

  it('fills the cache to its share, waits for room, and goes on when there is', async () => {
    limitBytes = 100_000;
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.prefetching === true);
    await until(() => prefetcher.progress('v')?.prefetching === false);
    const { bytesCached, bytesTotal } = prefetcher.progress('v') ?? {};
    expect(bytesCached).toBeLessThanOrEqual(90_000);
    expect(bytesCached).toBeGreaterThan(60_000);
    expect(bytesTotal).toBeGreaterThan(FILES * PART_BYTES);
    expect(prefetcher.progress('v')).toMatchObject({
      bytesToCome: 0,
      stopped: expect.stringMatching(/^auto fills the cache to 90 %: \d+.* KiB of 294 KiB; prefetch=all or a larger/),
    });
    limitBytes = 1e9;
    await clock.advance(60_000);
    await until(() => prefetcher.progress('v')?.complete === true);
    expect(prefetcher.progress('v')).toMatchObject({ bytesToCome: 0, stopped: null });
    expect(fetchedTwice()).toBe(0);
  });

  it('leaves what is pinned its place, whether its volume is mounted or was ever heard of', async () => {
    limitBytes = 400_000;
    const mountedAuto = async (prefetcher: Prefetcher) => {
      mounted(prefetcher);
      await until(() => prefetcher.progress('v')?.prefetching === true);
      await until(() => prefetcher.progress('v')?.prefetching === false);
      return prefetcher.progress('v');
    };
    pinnedBytes = 250_000;
    const { bytesCached, complete } = (await mountedAuto(start())) ?? {};
    expect(complete).toBe(false);
    expect(bytesCached).toBeLessThanOrEqual(110_000);
    expect(bytesCached).toBeGreaterThan(80_000);

    blocks.makeAllRemote();
    pinnedBytes = 0;
    expect(await mountedAuto(start())).toMatchObject({ complete: true });
    // What is wanted whole may have all but that.
    blocks.makeAllRemote();
    pinnedBytes = 250_000;
    const whole = start().fetchAll('v', root, AUTO, new AbortController().signal);
    expect(await whole.catch((error: unknown) => codeOf(error))).toBe('STORE_FULL');
  });

  it('counts blocks once that two volumes of one root have', async () => {
    limitBytes = 800_000;
    const prefetcher = start();
    for (const name of ['one', 'two']) {
      prefetcher.mounted(name, new MountedVolume(volumeSpec(root), OWNER, 1), AUTO);
      await until(() => prefetcher.progress(name)?.complete === true);
    }
    const other = new DagBuilder(blocks);
    const files = Array.from({ length: FILES }, (_, index) => other.raw(Buffer.alloc(PART_BYTES, `other ${index} `)));
    const content = other.directory(entriesOf(files));
    blocks.makeRemote(content, ...files);
    mounted(prefetcher, AUTO, content);
    await until(() => prefetcher.progress('v')?.prefetching === true);
    await until(() => prefetcher.progress('v')?.prefetching === false);
    expect(prefetcher.progress('v')).toMatchObject({ complete: true, stopped: null });
  });

  it('counts what is here before it waits for what is not', async () => {
    await blocks.get(leaves.at(-1) as CID, { priority: 'demand' });
    // The disk has more to write than it can.
    waitingBytes = 1e9;
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => Number(prefetcher.progress('v')?.bytesCached) > PART_BYTES, 20);
    expect(prefetcher.progress('v')).toMatchObject({ prefetching: true, blocksFetched: 0 });
    waitingBytes = 0;
    await until(() => prefetcher.progress('v')?.complete === true, 20);
  });

  it.each([
    ['a mount', true],
    ['a daemon that takes over', false],
  ])('counts what is here at %s though what the profile names does not come', async (_, starting) => {
    const first = start();
    await read(mounted(first), leaves[7] as CID);
    await until(() => first.progress('v')?.complete === true, 20);
    const { bytesTotal } = first.progress('v') ?? {};
    first.unmounted('v');
    await profileIsKept();
    blocks.makeSilent(leaves[7] as CID);
    const second = start(undefined, 500);
    mounted(second, AUTO, root, starting);
    // A busy machine tells the size in an earlier turn than what is here of it.
    await until(() => second.progress('v')?.bytesCached === Number(bytesTotal) - PART_BYTES, 20);
    expect(second.progress('v')).toMatchObject({ bytesTotal, prefetching: true });
    expect(blocks.waiting).toHaveLength(1);
    second.unmounted('v');
  });

  it('knows nothing of a volume that was mounted for less than it takes to count it, until that is done by the way', async () => {
    const [here] = leaves as [CID];
    for (const cid of [root, here]) await blocks.get(cid, { priority: 'demand' });
    const prefetcher = start(undefined, 500);
    await read(mounted(prefetcher), here);
    expect(prefetcher.progress('v')).toMatchObject({ bytesTotal: null });
    prefetcher.unmounted('v');
    await settle();
    expect(prefetcher.progress('v')).toBeUndefined();
    const counted = prefetcher.count('v', root, AUTO);
    // Between turns the count rests, by the clock.
    await until(() => prefetcher.progress('v') !== undefined, 20);
    await counted;
    const rootBytes = blocks.blocks.get(blockKey(root))?.length ?? 0;
    expect(prefetcher.progress('v')).toMatchObject({ bytesCached: PART_BYTES + rootBytes, complete: false });
    // And not again.
    await prefetcher.count('v', root, AUTO);
    expect(prefetcher.progress('v')).toMatchObject({ bytesCached: PART_BYTES + rootBytes });
    await prefetcher.close();
  });

  it('shows what is here to each of two volumes of one root, whichever brought it, and what went again', async () => {
    const prefetcher = start();
    await prefetcher.count('idle', root, AUTO);
    expect(prefetcher.progress('idle')).toMatchObject({ bytesCached: 0, complete: false });
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    const { bytesCached, bytesTotal } = prefetcher.progress('v') ?? {};
    expect(prefetcher.progress('idle')).toMatchObject({ bytesCached, bytesTotal, complete: true, blocksFetched: 0 });
    const gone = leaves[0] as CID;
    prefetcher.gone(blockKey(gone), PART_BYTES, false);
    for (const name of ['idle', 'v']) {
      expect(prefetcher.progress(name)).toMatchObject({
        bytesCached: Number(bytesTotal) - PART_BYTES,
        complete: false,
      });
    }
  });

  it('counts what is to come by the room that there is', async () => {
    limitBytes = 100_000;
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.bytesTotal != null && prefetcher.progress('v')?.prefetching === true);
    const { bytesCached = 0, bytesToCome } = prefetcher.progress('v') ?? {};
    expect(bytesCached + Number(bytesToCome)).toBeLessThanOrEqual(90_000);
    expect(bytesCached + Number(bytesToCome)).toBeGreaterThan(60_000);
  });

  it('counts anew what an eviction left: all of it where the local store has it', async () => {
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    const { bytesTotal } = prefetcher.progress('v') ?? {};
    const { signal } = new AbortController();
    // The cache of this test deletes nothing, as one does that has nothing of the volume.
    await prefetcher.evict('v', root, AUTO, [], signal);
    expect(prefetcher.progress('v')).toMatchObject({ bytesTotal, bytesCached: bytesTotal, complete: true });
    blocks.makeRemote(...leaves.slice(0, 5));
    await prefetcher.evict('v', root, AUTO, [], signal);
    const left = Number(bytesTotal) - 5 * PART_BYTES;
    expect(prefetcher.progress('v')).toMatchObject({ bytesTotal, bytesCached: left, complete: false });
  });

  it('says of a mounted volume that was evicted why its background does not bring it again', async () => {
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    blocks.makeRemote(...leaves);
    const { signal } = new AbortController();
    await prefetcher.evict('v', root, AUTO, [], signal);
    expect(prefetcher.progress('v')).toMatchObject({ prefetching: false, stopped: expect.stringMatching(/evicted/) });
    await prefetcher.fetchAll('v', root, AUTO, signal);
    expect(prefetcher.progress('v')).toMatchObject({ complete: true, stopped: null });
    blocks.makeRemote(...leaves);
    await prefetcher.evict('v', root, AUTO, [], signal);
    prefetcher.unmounted('v');
    expect(prefetcher.progress('v')).toMatchObject({ stopped: null });
    mounted(prefetcher);
    expect(prefetcher.progress('v')).toMatchObject({ stopped: null });
    await until(() => prefetcher.progress('v')?.complete === true);
  });

  it('does not say that a volume could not be unpinned where no Kubo ever pinned it', async () => {
    const down = async () => {
      throw new Error('kubo refused the connection');
    };
    const unpinning = async (pin: () => Promise<void>) => {
      const prefetcher = start({ pin, unpin: down });
      mounted(prefetcher, { ...AUTO, pin: true });
      await until(() => prefetcher.progress('v')?.complete === true);
      await settle();
      said.length = 0;
      await prefetcher.removed('v', root, true, () => []);
      return said.filter(({ message }) => /could not be unpinned/.test(message)).map(({ level }) => level);
    };
    expect(await unpinning(down)).toEqual(['debug']);
    expect(await unpinning(async () => {})).toEqual(['warn']);
  });

  it('brings again what is missing of what is pinned: a damaged block is nobody else’s place', async () => {
    const prefetcher = start();
    mounted(prefetcher, { ...AUTO, pin: true });
    await until(() => prefetcher.progress('v')?.complete === true);
    const [lost] = leaves as [CID];
    blocks.makeRemote(lost);
    prefetcher.gone(blockKey(lost), PART_BYTES, false);
    expect(prefetcher.progress('v')).toMatchObject({ complete: false });
    await clock.advance(60_000);
    await until(() => prefetcher.progress('v')?.complete === true);
    expect(blocks.fetched.filter(({ cid }) => cid.equals(lost))).toHaveLength(2);
    expect(blocks.fetched).toHaveLength(FILES + 2);
    prefetcher.unmounted('v');
    await settle();
    expect(clock.timers).toBe(0);
  });

  it('pins at Kubo as soon as that can be, where it could not when all was here, and says so once', async () => {
    let tries = 0;
    const pin = async () => {
      if (++tries <= 3) throw new Error('kubo refused the connection');
    };
    const prefetcher = start({ pin, unpin: async () => {} });
    mounted(prefetcher, { ...AUTO, pin: true });
    await until(() => prefetcher.progress('v')?.complete === true);
    await clock.advance(600_000);
    expect(tries).toBe(4);
    expect(said.filter(({ message }) => /could not be pinned/.test(message))).toMatchObject([{ level: 'warn' }]);
    prefetcher.unmounted('v');
    await settle();
    expect(clock.timers).toBe(0);
  });

  it('says that all is here after a call that fetched all, whatever was counted beside it', async () => {
    const dag = new DagBuilder(blocks);
    const files = Array.from({ length: 1000 }, (_, index) => dag.raw(Buffer.from(`small ${index}`)));
    const [lost] = files as [CID];
    const many = dag.directory(entriesOf(files));
    const prefetcher = start();
    mounted(prefetcher, AUTO, many);
    await until(() => prefetcher.progress('v')?.complete === true);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let asked = false;
    const get = blocks.get.bind(blocks);
    blocks.get = (cid, options) => {
      if (!cid.equals(lost)) return get(cid, options);
      asked = true;
      return released.then(() => get(cid, options));
    };
    blocks.makeRemote(lost);
    prefetcher.gone(blockKey(lost), 7, false);
    const fetching = prefetcher.fetchAll('v', many, AUTO, new AbortController().signal);
    await until(() => asked);
    // Time for a count, which finds it missing, and goes on.
    evictions = 1;
    await clock.advance(60_000);
    release();
    await fetching;
    for (let turn = 0; turn < 50; turn++) await settle();
    const { bytesCached, bytesTotal } = prefetcher.progress('v') ?? {};
    expect([prefetcher.progress('v')?.complete, bytesCached]).toEqual([true, bytesTotal]);
  });

  it('brings the rest as soon as it fits, however small the cache is, and says nothing more then', async () => {
    limitBytes = 100_000;
    const prefetcher = start();
    mounted(prefetcher, { ...AUTO, prefetch: 'all' });
    await until(() => prefetcher.progress('v')?.prefetchError != null);
    // Far less than what is usually worth another pass.
    limitBytes = 1_000_000;
    await clock.advance(60_000);
    await until(() => prefetcher.progress('v')?.complete === true);
    expect(prefetcher.progress('v')?.prefetchError).toBeNull();
  });

  it('says that what is to be fetched now does not fit before it is fetched', async () => {
    limitBytes = 290_000;
    const prefetcher = start();
    const { signal } = new AbortController();
    const failed = () => prefetcher.fetchAll('v', root, AUTO, signal).catch((error: unknown) => codeOf(error));
    expect(await failed()).toBe('STORE_FULL');
    expect(blocks.fetched.map(({ cid }) => cid)).toEqual([root]);
    limitBytes = 400_000;
    expect(await failed()).toBeUndefined();
    expect(prefetcher.progress('v')).toMatchObject({ complete: true });
  });

  it('does not say that all was fetched of which some went again meanwhile', async () => {
    const [first, last] = [leaves[0], leaves.at(-1)] as [CID, CID];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let asked = false;
    const get = blocks.get.bind(blocks);
    blocks.get = (cid, options) => {
      if (!cid.equals(last)) return get(cid, options);
      asked = true;
      return released.then(() => get(cid, options));
    };
    const prefetcher = start();
    const { signal } = new AbortController();
    const failed = () => prefetcher.fetchAll('v', root, AUTO, signal).catch((error: unknown) => error);
    const fetching = failed();
    await until(() => asked && blocks.blocks.size > 0 && Number(prefetcher.progress('v')?.bytesCached) > PART_BYTES);
    blocks.makeRemote(first);
    prefetcher.gone(blockKey(first), PART_BYTES, false);
    release();
    const error = await fetching;
    expect([codeOf(error), String(error)]).toEqual(['STORE_FULL', expect.stringMatching(/left the cache again while/)]);
    expect(await failed()).toBeUndefined();
    expect(prefetcher.progress('v')).toMatchObject({ complete: true });
  });

  it('says that what is wanted whole does not fit', async () => {
    limitBytes = 100_000;
    const prefetcher = start();
    mounted(prefetcher, { ...AUTO, pin: true });
    await until(() => said.some(({ message }) => /does not fit/.test(message)));
    const prefetchError = expect.stringMatching(/^the cache of 97\.7 KiB has no room for the volume's 29\d KiB/);
    expect(prefetcher.progress('v')).toMatchObject({ complete: false, prefetchError });
    const { signal } = new AbortController();
    const error = await prefetcher.fetchAll('v', root, AUTO, signal).catch((caught: unknown) => caught);
    expect(codeOf(error)).toBe('STORE_FULL');
    expect(String(error)).toMatch(/cache of 97\.7 KiB has no room for the volume's 29\d KiB/);
    limitBytes = 400_000;
    await prefetcher.fetchAll('v', root, AUTO, signal);
    expect(prefetcher.progress('v')).toMatchObject({ complete: true, prefetchError: null });
    expect([...pinned].sort()).toEqual([root, ...leaves].map((cid) => blockKey(cid)).sort());
    await prefetcher.removed('v', root, true, () => []);
    expect(pinned.size).toBe(0);
  });

  it('lets go of nothing that a volume made meanwhile has pinned', async () => {
    const prefetcher = start();
    const pin = { ...AUTO, pin: true };
    mounted(prefetcher, pin);
    await until(() => prefetcher.progress('v')?.complete === true);
    const pinnedRoots: CID[] = [];
    const removing = prefetcher.removed('v', root, true, () => [...pinnedRoots]);
    // Made anew and mounted before the first look is over.
    pinnedRoots.push(root);
    mounted(prefetcher, pin);
    await removing;
    expect(unpinned).toEqual([]);
  });

  it('unpins some blocks a turn, stops at what is pinned meanwhile, and goes on where a daemon ended', async () => {
    const dag = new DagBuilder(blocks);
    const files = Array.from({ length: 2000 }, (_, index) => dag.raw(Buffer.from(`small ${index}`)));
    const many = dag.directory(files.map((cid, index) => ({ name: `f${index}`, cid })));
    const keys = [many, ...files].map((cid) => blockKey(cid));
    for (const key of keys) pinned.add(key);
    const pinnedRoots: CID[] = [];
    onUnpin = () => pinnedRoots.push(many);
    await start().removed('v', many, true, () => [...pinnedRoots]);
    onUnpin = () => undefined;
    expect(unpinned.length).toBeGreaterThan(0);
    expect(unpinned.length).toBeLessThan(1000);

    for (const key of keys) pinned.add(key);
    pinnedRoots.length = 0;
    const ended = new Error('the daemon was killed');
    await start().removed('v', many, true, () => {
      throw ended;
    });
    expect(pinned.size).toBe(keys.length);
    await start().resumeUnpinning(() => []);
    expect(pinned.size).toBe(0);
    unpinned.length = 0;
    await start().resumeUnpinning(() => []);
    expect(unpinned).toEqual([]);
  });

  it('ends a call that fetches all with the removal of its volume, and pins nothing for it', async () => {
    const prefetcher = start();
    limitBytes = 100_000;
    waitingBytes = 20 * 1024 * 1024;
    const { signal } = new AbortController();
    const fetching = prefetcher.fetchAll('v', root, { ...AUTO, pin: true }, signal).catch((error: unknown) => error);
    await settle();
    const removing = prefetcher.removed('v', root, true, () => []);
    expect(await fetching).toMatchObject({
      code: 'VOLUME_NOT_FOUND',
      message: 'the volume "volume v" was removed, or leads elsewhere now',
    });
    await removing;
    expect(pinned.size).toBe(0);
  });

  it('notices what others pushed out of the cache, and does not fight for it', async () => {
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    const { bytesTotal } = prefetcher.progress('v') ?? {};
    const fetchedBefore = blocks.fetched.length;
    blocks.makeRemote(...leaves.slice(0, 5));
    evictions = 5;
    await clock.advance(60_000);
    await until(() => prefetcher.progress('v')?.complete === false);
    const gone = 5 * PART_BYTES;
    expect(prefetcher.progress('v')).toMatchObject({ bytesTotal, bytesCached: Number(bytesTotal) - gone });
    await clock.advance(600_000);
    expect(blocks.fetched).toHaveLength(fetchedBefore);
    prefetcher.unmounted('v');
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    expect(blocks.fetched).toHaveLength(fetchedBefore + 5);
    prefetcher.unmounted('v');
    await settle();
    expect(clock.timers).toBe(0);
  });

  it('knows at once what the cache gave up, and counts it anew when it comes again', async () => {
    const prefetcher = start();
    const volume = mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    const { bytesTotal, blocksFetched } = prefetcher.progress('v') ?? {};
    const [first, second] = leaves as [CID, CID];
    prefetcher.unmounted('v');
    blocks.makeRemote(first, second);
    prefetcher.gone(blockKey(first), PART_BYTES, false);
    prefetcher.gone(blockKey(first), PART_BYTES, false);
    // In the local store as well.
    prefetcher.gone(blockKey(second), PART_BYTES, true);
    prefetcher.gone(blockKey(makeBlock('of another volume').cid), 17, false);
    // Out of the local store, and in the cache as well.
    prefetcher.gone(blockKey(second), PART_BYTES, true, 'store');
    const left = Number(bytesTotal) - PART_BYTES;
    expect(prefetcher.progress('v')).toMatchObject({ bytesTotal, bytesCached: left, complete: false });
    await read(volume, first);
    expect(prefetcher.progress('v')).toMatchObject({
      bytesCached: bytesTotal,
      blocksFetched: Number(blocksFetched) + 1,
    });
  });

  it('counts volumes that nobody mounted, one by one and with rests, and fetches nothing for it', async () => {
    const first = start();
    mounted(first);
    await until(() => first.progress('v')?.complete === true);
    const { bytesTotal } = first.progress('v') ?? {};
    const [lost] = leaves as [CID];
    const fetched = blocks.fetched.length;

    const second = start();
    const counted = second.count('v', root, { ...AUTO, pin: true });
    void second.count('w', root, AUTO);
    const none = second.count('none', makeBlock('nobody has it').cid, AUTO);
    expect(second.progress('v')).toBeUndefined();
    await clock.advance(1000);
    await counted;
    expect(second.progress('v')).toMatchObject({ bytesTotal, bytesCached: bytesTotal, complete: true });
    expect(pinned.size).toBe(0);
    await clock.advance(1000);
    await none;
    expect(second.progress('none')).toMatchObject({ bytesTotal: null, bytesCached: 0, complete: false });
    second.gone(blockKey(lost), PART_BYTES, false);
    const left = { bytesCached: Number(bytesTotal) - PART_BYTES, complete: false };
    for (const name of ['v', 'w']) expect(second.progress(name)).toMatchObject(left);
    expect(blocks.fetched).toHaveLength(fetched);
    await second.close();
    expect(clock.timers).toBe(1);
  });

  it('does not say that all is here of a pass in which a block went that it had passed', async () => {
    const [first, last] = [leaves[0], leaves.at(-1)] as [CID, CID];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const get = blocks.get.bind(blocks);
    blocks.get = (cid, options) => (cid.equals(last) ? released.then(() => get(cid, options)) : get(cid, options));
    const prefetcher = start();
    const volume = mounted(prefetcher);
    await until(() => Number(prefetcher.progress('v')?.bytesCached) > (FILES - 1) * PART_BYTES);
    const { bytesTotal } = prefetcher.progress('v') ?? {};
    blocks.makeRemote(first);
    prefetcher.gone(blockKey(first), PART_BYTES, false);
    release();
    await until(() => prefetcher.progress('v')?.prefetching === false);
    const left = { bytesTotal, bytesCached: Number(bytesTotal) - PART_BYTES, complete: false };
    expect(prefetcher.progress('v')).toMatchObject(left);
    await clock.advance(600_000);
    expect(prefetcher.progress('v')).toMatchObject(left);
    expect(fetchedTwice()).toBe(0);
    await read(volume, first);
    prefetcher.countAgain();
    // The next count may be long in coming: by this clock one took as long as the clock was moved on meanwhile.
    await until(() => prefetcher.progress('v')?.complete === true, 60_000);
    expect(prefetcher.progress('v')).toMatchObject({ bytesTotal, bytesCached: bytesTotal });
  });

  it('takes no count in which a disk did not answer, and counts again what went unnamed', async () => {
    for (const cid of [root, ...leaves]) await blocks.get(cid, { priority: 'demand' });
    const prefetcher = start();
    const count = async () => {
      const counted = prefetcher.count('v', root, AUTO);
      await clock.advance(1000);
      await counted;
      return prefetcher.progress('v');
    };
    const isKept = blocks.isKept.bind(blocks);
    blocks.isKept = () => {
      unanswered++;
      return false;
    };
    expect(await count()).toBeUndefined();
    blocks.isKept = isKept;
    expect(await count()).toMatchObject({ complete: true });
    blocks.makeRemote(leaves[0] as CID);
    prefetcher.countAgain();
    expect(prefetcher.progress('v')).toBeUndefined();
    expect(await count()).toMatchObject({ complete: false, bytesCached: expect.any(Number) });

    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    blocks.makeRemote(leaves[0] as CID);
    prefetcher.countAgain();
    // At once: the clock stands still.
    await until(() => prefetcher.progress('v')?.complete === false);
  });

  it('lets a disk that is slower than the link set the pace', async () => {
    waitingBytes = 20 * 1024 * 1024 - 2.5 * PART_BYTES;
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => blocks.fetched.length > 3);
    waitingBytes = 20 * 1024 * 1024;
    for (let turn = 0; turn < 5; turn++) await settle();
    const held = blocks.fetched.length;
    await clock.advance(60_000);
    expect(blocks.fetched).toHaveLength(held);
    expect(held).toBeLessThan(10);
    expect(blocks.peak).toBeLessThanOrEqual(2);
    expect(prefetcher.progress('v')).toMatchObject({ prefetching: true, complete: false });
    waitingBytes = 0;
    await clock.advance(20);
    await until(() => prefetcher.progress('v')?.complete === true);
    expect(blocks.fetched).toHaveLength(FILES + 1);
    expect(fetchedTwice()).toBe(0);
  });

  it('comes back to what failed, and says why it is not complete', async () => {
    const [lost] = leaves as [CID];
    const bytes = blocks.blocks.get(blockKey(lost)) as Uint8Array;
    blocks.remove(lost);
    const prefetcher = start();
    mounted(prefetcher);
    // On a busy machine the failure comes before all is asked for, and the rest waits its pause out.
    await until(() => prefetcher.progress('v')?.prefetchError !== null, 10);
    expect(prefetcher.progress('v')).toMatchObject({ complete: false, prefetching: true });
    expect(prefetcher.progress('v')?.prefetchError).toContain(lost.toString());
    blocks.put(lost, bytes);
    await clock.advance(5000);
    await until(() => prefetcher.progress('v')?.complete === true);
    expect(prefetcher.progress('v')).toMatchObject({ prefetchError: null, prefetching: false });
  });

  it('brings the largest directories at the top at once, where no profile says what a start needs', async () => {
    const dag = new DagBuilder(blocks);
    const GIB = 1024 ** 3;
    const file = { name: 'file', cid: dag.raw(Buffer.from('of a few bytes')) };
    const small = { name: 'small', cid: dag.directory([{ ...file, name: 'below' }]), tsize: 60_000 };
    const claimless = { name: 'claimless', cid: dag.directory([{ ...file, name: 'deep' }]) };
    const library = {
      name: 'library',
      cid: dag.directory([claimless, file, { ...small, name: 'part' }]),
      tsize: GIB,
    };
    const many = Array.from({ length: 100 }, (_, at) => ({
      name: `d${at}`,
      cid: dag.directory([{ ...file, name: `${at}` }]),
      tsize: GIB,
    }));
    const top = { name: 'top', cid: dag.directory([library, file]), tsize: GIB };
    const content = dag.directory([small, top]);
    const wide = dag.directory(many);
    const cids = () => blocks.fetched.map(({ cid, priority }) => `${cid} ${priority}`);
    blocks.makeAllRemote();
    const prefetcher = start(undefined, 500);
    mounted(prefetcher, AUTO, content);
    await until(() => blocks.fetched.length === 3);
    for (let turn = 0; turn < 10; turn++) await settle();
    expect(cids()).toEqual([content, top.cid, library.cid].map((cid) => `${cid} profile`));
    prefetcher.unmounted('v');
    blocks.fetched.length = 0;
    mounted(prefetcher, AUTO, wide);
    await until(() => blocks.fetched.length === 32);
    await settle();
    expect(blocks.fetched).toHaveLength(32);
    prefetcher.unmounted('v');

    blocks.makeAllRemote();
    blocks.fetched.length = 0;
    mounted(start(undefined, 500), { ...AUTO, prefetch: 'none' }, content);
    await settle();
    expect(blocks.fetched).toEqual([]);
  });

  it('fetches what the profile names before the root is there, once, and ends where nothing is mounted', async () => {
    const named = [leaves[9] as CID, leaves[2] as CID];
    new ProfileStore(directory, logger()).merge(profileOf(root, 1, named));
    const rootBytes = blocks.blocks.get(blockKey(root)) as Uint8Array;
    blocks.remove(root);
    const prefetcher = start();
    prefetcher.expected('v', root, AUTO);
    await until(() => prefetcher.progress('v')?.blocksFetched === 2);
    expect(blocks.fetched.map(({ cid, priority }) => [`${cid}`, priority])).toEqual(
      named.map((cid) => [`${cid}`, 'profile']),
    );
    blocks.put(root, rootBytes);
    const volume = mounted(prefetcher, { ...AUTO, prefetch: 'none' });
    await settle();
    await read(volume, leaves[9] as CID);
    prefetcher.unmounted('v');
    // Also what came before the Mount was done.
    expect(startLines()).toMatchObject([{ bytesPrefetched: 2 * PART_BYTES, profileHitShare: 1 }]);
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.complete === true);
    expect(fetchedTwice()).toBe(0);
    prefetcher.unmounted('v');

    blocks.makeAllRemote();
    blocks.fetched.length = 0;
    const other = start();
    other.expected('v', root, { ...AUTO, prefetch: 'none' });
    other.expected('v', leaves[1] as CID, AUTO);
    other.expected('v', root, AUTO);
    other.unmounted('v');
    await until(() => other.progress('v')?.prefetching !== true);
    expect(blocks.fetched.length).toBeLessThanOrEqual(named.length);
  });

  it('takes the profile that came with the content, of no other tree, and keeps it for the next run', async () => {
    const dag = new DagBuilder(blocks);
    const entries = entriesOf(leaves);
    const profile = profileOf(root, 4, [root, leaves[9] as CID, leaves[2] as CID]);
    const text = dag.raw(Buffer.from(shippedText(profile)));
    const shipped = dag.directory([{ name: PROFILE_ENTRY, cid: text }, ...entries]);
    const altered = dag.directory([{ name: PROFILE_ENTRY, cid: text }, ...entries.slice(1)]);
    blocks.makeAllRemote();
    const prefetcher = start();
    const volume = mounted(prefetcher, AUTO, shipped);
    await until(() => prefetcher.progress('v')?.complete === true);
    const order = blocks.fetched.map(({ cid }) => cid.toString()).slice(0, 4);
    expect(order).toEqual([shipped, text, leaves[9], leaves[2]].map(String));
    expect(prefetcher.progress('v')?.profile).toBe('2 blocks of 4 runs, shipped');
    await read(volume, leaves[5] as CID);
    prefetcher.unmounted('v');
    expect(startLines()).toMatchObject([{ profileHitShare: 0 }]);
    await prefetcher.close();
    const kept = new ProfileStore(directory, logger()).get(shipped.toString());
    expect(kept).toMatchObject({ root: shipped.toString(), runs: 5 });
    expect(new Set(kept?.blocks.keys())).toEqual(
      new Set([leaves[5] as CID, leaves[9] as CID, leaves[2] as CID].map(contentKey)),
    );

    const other = start();
    mounted(other, AUTO, altered);
    await until(() => other.progress('v')?.complete === true);
    expect(other.progress('v')?.profile).toMatch(/^ignored the profile that came with the content: it is of bafy/);
    expect(said.filter(({ message }) => message === 'a boot profile is ignored')).toMatchObject([{ level: 'warn' }]);
    other.unmounted('v');
  });

  it.each([true, false])(
    'brings the groups of a profile, each in one answer where a source can: %s',
    async (sendsTrees) => {
      const dag = new DagBuilder(blocks);
      const [a, b, c, d, e, alone] = leaves as [CID, CID, CID, CID, CID, CID];
      const group = (...cids: CID[]) => {
        const parts = cids.map((cid) => ({ cid, size: PART_BYTES }));
        return { key: contentKey(dag.part(parts).cid), blocks: cids.map(contentKey) };
      };
      const groups = [group(a, b, c), group(d, e)];
      const ordered = [a, b, alone, c, d, e].map((cid): [ContentKey, number] => [contentKey(cid), PART_BYTES]);
      new ProfileStore(directory, logger()).merge({ root: root.toString(), runs: 1, blocks: new Map(ordered), groups });
      blocks.makeAllRemote();
      blocks.sendsTrees = sendsTrees;
      // Half of the second one is here.
      await blocks.get(d, { priority: 'demand' });
      blocks.fetched.length = 0;
      const prefetcher = start();
      prefetcher.expected('v', root, AUTO);
      await until(() => prefetcher.progress('v')?.blocksFetched === (sendsTrees ? 6 : 5));
      await until(() => prefetcher.progress('v')?.prefetching === false);
      const first = groups[0] as BlockGroup;
      expect(blocks.trees.map(({ root: cid }) => contentKey(cid))).toEqual([first.key]);
      const singly = blocks.fetched.map(({ cid, priority }) => `${cid} ${priority}`);
      expect(singly).toEqual((sendsTrees ? [alone, e] : [a, b, c, alone, e]).map((cid) => `${cid} profile`));
      expect(fetchedTwice()).toBe(0);
      prefetcher.unmounted('v');
    },
  );

  it.each([true, false])(
    'has asked for a profile that may have come with the content before its root is here, in answers of many blocks: %s',
    async (sendsTrees) => {
      const dag = new DagBuilder(blocks);
      const [a, b, c, large] = leaves as [CID, CID, CID, CID];
      const group = dag.part([a, b, c].map((cid) => ({ cid, size: PART_BYTES })));
      const named = profileOf(root, 1, [a, large, b, c]);
      const sized = new Map([...named.blocks.keys()].map((key): [ContentKey, number] => [key, PART_BYTES]));
      const groups = [{ key: contentKey(group.cid), blocks: [a, b, c].map(contentKey) }];
      const text = dag.raw(Buffer.from(shippedText({ ...named, blocks: sized, groups })));
      const shipped = dag.directory([
        { name: PROFILE_ENTRY, cid: text },
        { name: START_ENTRY, cid: group.cid },
        ...entriesOf(leaves),
      ]);
      blocks.makeAllRemote();
      blocks.sendsTrees = sendsTrees;
      const prefetcher = start(undefined, 500);
      prefetcher.expected('v', shipped, AUTO);
      expect(blocks.entries).toEqual([PROFILE_ENTRY, START_ENTRY].map((entry) => ({ root: shipped, entry })));
      await blocks.get(shipped, { priority: 'demand' });
      mounted(prefetcher, AUTO, shipped);
      await until(() => prefetcher.progress('v')?.profile === '4 blocks of 1 run, shipped');
      await until(() => blocks.has(large) && blocks.has(c));
      const singly = blocks.fetched.map(({ cid, priority }) => `${cid} ${priority}`);
      const alone = sendsTrees ? [large] : [text, large, a, b, c];
      expect(singly.toSorted()).toEqual([`${shipped} demand`, ...alone.map((cid) => `${cid} profile`)].toSorted());
      // The group is on its way with the entry.
      expect(blocks.trees.length).toBe(sendsTrees ? 0 : 1);
      expect(fetchedTwice()).toBe(0);
      prefetcher.unmounted('v');
    },
  );

  it('asks for no profile beside a root that is here, is no directory, or has one that is known or named', async () => {
    const prefetcher = start();
    await blocks.get(root, { priority: 'demand' });
    prefetcher.expected('v', root, AUTO);
    blocks.makeAllRemote();
    prefetcher.expected('v', root, { ...AUTO, prefetch: 'none' });
    prefetcher.expected('v', root, { ...AUTO, profile: 'mine' });
    prefetcher.expected('w', leaves[1] as CID, AUTO);
    new ProfileStore(directory, logger()).merge(profileOf(root, 1, [leaves[9] as CID]));
    start().expected('v', root, AUTO);
    expect(blocks.entries).toEqual([]);
    prefetcher.unmounted('v');
  });

  it('asks for no more groups once some brought nothing of what they were to: each of them may be the same tree', async () => {
    const dag = new DagBuilder(blocks);
    const other = dag.part([dag.rawPart(Buffer.alloc(PART_BYTES, 'other'))]).cid;
    const groups = leaves.map((cid) => ({ key: contentKey(other), blocks: [contentKey(cid)] }));
    const ordered = leaves.map((cid): [ContentKey, number] => [contentKey(cid), PART_BYTES]);
    new ProfileStore(directory, logger()).merge({ root: root.toString(), runs: 1, blocks: new Map(ordered), groups });
    blocks.makeAllRemote();
    blocks.sendsTrees = true;
    blocks.treeTurns = 0;
    blocks.fetched.length = 0;
    const prefetcher = start();
    prefetcher.expected('v', root, AUTO);
    await until(() => leaves.every((cid) => blocks.has(cid)));
    // Four, and those that were under way.
    expect(blocks.trees.length).toBeLessThan(FILES / 2);
    expect(fetchedTwice()).toBe(0);
    prefetcher.unmounted('v');
  });

  it.each([
    ['was over before', false],
    ['ran out of time for', true],
  ])('keeps nothing of a run that %s the profile that came with the content', async (_, isLate) => {
    const dag = new DagBuilder(blocks);
    const text = dag.raw(Buffer.from(shippedText(profileOf(root, 4, [leaves[9] as CID, leaves[2] as CID]))));
    const shipped = dag.directory([{ name: PROFILE_ENTRY, cid: text }, ...entriesOf(leaves)]);
    blocks.makeAllRemote();
    const get = blocks.get.bind(blocks);
    const late = new CodedError('BLOCK_TIMEOUT', 'it did not come in time');
    blocks.get = (cid, options) => {
      if (!cid.equals(text)) return get(cid, options);
      return isLate ? Promise.reject(late) : untilItLeft(options);
    };
    const first = start();
    const volume = mounted(first, AUTO, shipped);
    await read(volume, shipped);
    await read(volume, leaves[5] as CID);
    if (isLate) await until(() => first.progress('v')?.profile?.includes('in time') === true);
    first.unmounted('v');
    await first.close();
    expect(startLines()).toMatchObject([{ bytesDemanded: expect.any(Number) }]);

    blocks.get = get;
    const second = start();
    mounted(second, AUTO, shipped);
    await until(() => second.progress('v')?.complete === true);
    expect(second.progress('v')?.profile).toBe('2 blocks of 4 runs, shipped');
    second.unmounted('v');
  });

  it('fetches no profile under prefetch=none, measures a start by one that is at hand, and has none stand before one that is not', async () => {
    const dag = new DagBuilder(blocks);
    const text = dag.raw(Buffer.from(shippedText(profileOf(root, 4, [leaves[9] as CID, leaves[2] as CID]))));
    const shipped = dag.directory([{ name: PROFILE_ENTRY, cid: text }, ...entriesOf(leaves)]);
    blocks.makeAllRemote();
    const none: PrefetchOptions = { ...AUTO, prefetch: 'none' };
    for (const options of [none, { ...none, profile: text.toString() }]) {
      const prefetcher = start();
      // As Mount does, which asks for the root.
      await blocks.get(shipped, { priority: 'demand' });
      blocks.fetched.length = 0;
      const volume = mounted(prefetcher, options, shipped);
      for (let turn = 0; turn < 20; turn++) await settle();
      expect(blocks.fetched).toEqual([]);
      await read(volume, leaves[9] as CID);
      prefetcher.unmounted('v');
      await prefetcher.close();
      expect(startLines()).toMatchObject([{ profileHitShare: null }]);
      expect(new ProfileStore(directory, logger()).has(shipped.toString())).toBe(false);
      said = [];
    }

    // Somebody read it.
    await blocks.get(text, { priority: 'demand' });
    const prefetcher = start();
    blocks.makeRemote(leaves[9] as CID);
    blocks.fetched.length = 0;
    const volume = mounted(prefetcher, none, shipped);
    await until(() => prefetcher.progress('v')?.profile === '2 blocks of 4 runs, shipped');
    expect(blocks.fetched).toEqual([]);
    await read(volume, leaves[9] as CID);
    prefetcher.unmounted('v');
    expect(startLines()).toMatchObject([{ profileHitShare: 1 }]);
    await prefetcher.close();
    expect(new ProfileStore(directory, logger()).get(shipped.toString())).toMatchObject({ runs: 5 });
  });

  it('brings what a start needs also where pins leave no more room than that', async () => {
    const named = [leaves[9] as CID, leaves[2] as CID];
    new ProfileStore(directory, logger()).merge(profileOf(root, 1, named));
    limitBytes = 10_000_000;
    pinnedBytes = 9_200_000;
    const prefetcher = start();
    mounted(prefetcher);
    await until(() => prefetcher.progress('v')?.prefetching === true);
    await until(() => prefetcher.progress('v')?.prefetching === false);
    expect(blocks.fetched.map(({ cid, priority }) => `${cid} ${priority}`)).toEqual(
      named.map((cid) => `${cid} profile`),
    );
  });

  it('ignores a named profile that is of another root or cannot be had, says so, and uses what it has', async () => {
    const profiles = new ProfileStore(directory, logger());
    await profiles.import(profileOf(makeBlock('another root').cid, 1, [leaves[1] as CID]), 'elsewhere');
    profiles.merge(profileOf(root, 2, [leaves[4] as CID]));
    for (const named of ['elsewhere', 'nobody', makeBlock('no such profile').cid.toString()]) {
      said = [];
      const prefetcher = start();
      mounted(prefetcher, { ...AUTO, profile: named });
      await until(() => prefetcher.progress('v')?.complete === true);
      expect(prefetcher.progress('v')?.profile).toMatch(
        new RegExp(`^1 block of 2 runs, recorded; ignored the profile "${named}": `),
      );
      expect(said.filter(({ message }) => message === 'a boot profile is ignored')).toHaveLength(1);
      prefetcher.unmounted('v');
    }
  });
});

/** Nothing, until whoever asks is not interested any more. */
function untilItLeft({ signal }: WantOptions): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new CodedError('ABORTED', 'the wait was given up')));
  });
}

function profileOf(root: CID, runs: number, blocks: readonly CID[]): BootProfile {
  return { root: root.toString(), runs, blocks: new Map(blocks.map((cid) => [contentKey(cid), 0])) };
}

function entriesOf(files: readonly CID[]) {
  return files.map((cid, index) => ({ name: `file${String(index).padStart(2, '0')}`, cid, tsize: PART_BYTES }));
}

/** As the block service does, on the account of whoever asks. */
class AccountedBlocks extends BlockMap {
  override get(cid: CID, options: WantOptions): MaybePromise<Uint8Array> {
    const fetched = !this.has(cid);
    // The map's own account is of what is fetched alone.
    const { account, ...unaccounted } = options;
    return chain(super.get(cid, unaccounted), (bytes) => {
      account?.(cid, bytes.length, { priority: options.priority, origin: 'source', fetched });
      return bytes;
    });
  }
}
