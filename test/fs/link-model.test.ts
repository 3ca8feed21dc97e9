/**
 * The whole way from a read to a link of 1 Gbit/s at 50 ms, in a model's time: readahead fills the link, random reads fetch
 * their blocks alone, and walking a tree costs round trips by its depth and by what the path takes at once. Nothing here
 * depends on this machine's speed.
 */
import type { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../src/fs/file-system.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { FAST_FAR, LinkFileSystem } from '../support/link-file-system.ts';
import { listAll } from '../support/walk-file-system.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const { roundTripMs, bytesPerMs } = FAST_FAR;
const READ = 128 * KIB;
/** The most requests at once that a source gets. */
const MOST_AT_ONCE = 256;

/** A file of `sizeBytes` in raw leaves, two levels deep as Kubo makes it, at the end of the link. */
async function remoteFile(sizeBytes: number, blockBytes: number, over = FAST_FAR) {
  const content = new BlockMap();
  const dag = new DagBuilder(content);
  const leaves = Array.from({ length: sizeBytes / blockBytes }, (_, index) => {
    const bytes = Buffer.alloc(blockBytes);
    bytes.writeUInt32LE(index);
    return dag.rawPart(bytes);
  });
  const inner = [];
  for (let at = 0; at < leaves.length; at += 174) inner.push(dag.part(leaves.slice(at, at + 174)));
  const root = dag.part(inner).cid;
  const link = new LinkFileSystem(content, over);
  const node = await link.mount(root);
  const before = link.source.bytes;
  return {
    link,
    node,
    startMs: link.clock.nowMs(),
    fetchedBytes: () => link.source.bytes - before,
  };
}

describe('one stream', () => {
  test.each([256 * KIB, MIB])(
    'has nine tenths of the link after four round trips (blocks of %i bytes)',
    async (size) => {
      const total = 128 * MIB;
      const { link, node, startMs, fetchedBytes } = await remoteFile(total, size);
      const afterMs = 4 * roundTripMs;
      let readByThen = 0;
      await link.elapse(
        (async () => {
          for (let offset = 0; offset < total; offset += READ) {
            await link.read(node, offset, READ);
            if (link.clock.nowMs() - startMs <= afterMs) readByThen = offset + READ;
          }
        })(),
      );
      const share = (total - readByThen) / bytesPerMs / (link.clock.nowMs() - startMs - afterMs);
      expect(share).toBeGreaterThan(0.9);
      expect(fetchedBytes()).toBeLessThan(total * 1.001);
    },
  );

  test('backwards takes the link, too', async () => {
    const total = 64 * MIB;
    const { link, node, startMs, fetchedBytes } = await remoteFile(total, 256 * KIB);
    await link.elapse(
      (async () => {
        for (let offset = total - READ; offset >= 0; offset -= READ) await link.read(node, offset, READ);
      })(),
    );
    expect(link.clock.nowMs() - startMs).toBeLessThan(total / bytesPerMs + 10 * roundTripMs);
    expect(fetchedBytes()).toBeLessThan(total * 1.001);
  });

  test.each([512 * KIB, 2 * MIB, -3 * MIB])(
    'at a stride of %i fetches what it reads, ahead of time',
    async (stride) => {
      const total = 256 * MIB;
      const block = 256 * KIB;
      const { link, node, startMs, fetchedBytes } = await remoteFile(total, block);
      let reads = 0;
      await link.elapse(
        (async () => {
          const first = stride > 0 ? 0 : total - READ;
          for (let offset = first; offset >= 0 && offset < total; offset += stride) {
            reads++;
            await link.read(node, offset, READ);
          }
        })(),
      );
      expect(link.clock.nowMs() - startMs).toBeLessThan((reads * block) / bytesPerMs + 12 * roundTripMs);
      expect(fetchedBytes()).toBeLessThan((reads + 1) * block);
    },
  );
});

test('four streams in one file share the link', async () => {
  const total = 128 * MIB;
  const { link, node, startMs, fetchedBytes } = await remoteFile(total, 256 * KIB);
  const quarter = total / 4;
  const reader = async (from: number) => {
    for (let offset = from; offset < from + quarter; offset += READ) await link.read(node, offset, READ);
  };
  await link.elapse(Promise.all([0, 1, 2, 3].map((index) => reader(index * quarter))));
  expect(total / bytesPerMs / (link.clock.nowMs() - startMs)).toBeGreaterThan(0.8);
  expect(fetchedBytes()).toBeLessThan(total * 1.001);
});

test.each([1, 32])('random reads, %i at once, wait a round trip and fetch their blocks alone', async (atOnce) => {
  const total = 128 * MIB;
  const block = 256 * KIB;
  const { link, node, fetchedBytes } = await remoteFile(total, block);
  const touched = new Set<number>();
  const waitsMs: number[] = [];
  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  const reader = async () => {
    for (let read = 0; read < 160 / atOnce; read++) {
      const offset = Math.floor((random() * total) / 4096) * 4096;
      touched.add(Math.floor(offset / block));
      waitsMs.push(await link.read(node, offset, 4096));
    }
  };
  await link.elapse(Promise.all(Array.from({ length: atOnce }, reader)));
  waitsMs.sort((one, other) => one - other);
  const median = waitsMs[waitsMs.length >> 1] as number;
  const fairShareMs = (atOnce * block) / bytesPerMs;
  expect(median).toBeLessThan(1.2 * (roundTripMs + (atOnce === 1 ? block / bytesPerMs : fairShareMs)));
  // And the inner nodes, a fortieth of a per cent.
  expect(fetchedBytes()).toBeLessThan((touched.size + 1) * block);
});

test('a reader beside a stream is not starved', async () => {
  const total = 256 * MIB;
  const { link, node } = await remoteFile(total, 256 * KIB);
  const waitsMs: number[] = [];
  let streaming = true;
  const stream = async () => {
    for (let offset = 0; offset < total / 2; offset += READ) await link.read(node, offset, READ);
    streaming = false;
  };
  const other = async () => {
    // One block here and there of the half that nobody streams, never two at one distance.
    for (let read = 1; streaming; read++) {
      waitsMs.push(await link.read(node, total / 2 + ((read * read * 7) % 500) * 256 * KIB, 4096));
      await link.clock.wait(20);
    }
  };
  await link.elapse(Promise.all([stream(), other()]));
  waitsMs.sort((one, another) => one - another);
  expect(waitsMs.length).toBeGreaterThan(8);
  // What is under way already, once the path is known, stands before it: another round trip at the most.
  expect(waitsMs[Math.floor(waitsMs.length * 0.75)]).toBeLessThan(2.2 * roundTripMs);
});

test('a reader beside eight streams at 100 Mbit/s waits for what their readers wait for, and little of what is ahead of them', async () => {
  const over = { roundTripMs: 50, bytesPerMs: 12_500 };
  const total = 128 * MIB;
  const { link, node, startMs } = await remoteFile(total + 64 * MIB, MIB, over);
  const each = total / 8;
  let streaming = 8;
  const stream = async (from: number) => {
    for (let offset = from; offset < from + each; offset += READ) await link.read(node, offset, READ);
    streaming--;
  };
  const waitsMs: number[] = [];
  const other = async () => {
    for (let read = 1; streaming === 8; read++) {
      waitsMs.push(await link.read(node, total + ((read * read * 7) % 61) * MIB, 4096));
      await link.clock.wait(150);
    }
  };
  await link.elapse(Promise.all([other(), ...Array.from({ length: 8 }, (_, index) => stream(index * each))]));
  // Eight blocks that others wait for come first, whatever is done; some more until the path is known.
  const blockMs = MIB / over.bytesPerMs;
  expect(waitsMs.length).toBeGreaterThan(10);
  expect(Math.max(...waitsMs.slice(0, 4))).toBeLessThan(roundTripMs + 14 * blockMs);
  expect(Math.max(...waitsMs.slice(4))).toBeLessThan(roundTripMs + 9 * blockMs);
  expect(total / over.bytesPerMs / (link.clock.nowMs() - startMs)).toBeGreaterThan(0.85);
});

describe('a walk through a whole tree', () => {
  /** Directories `wide` across, `levels` deep, with ten files each. */
  function build(wide: number, levels: number, dag: DagBuilder, rawFiles: boolean) {
    let directories = 0;
    const directory = (level: number, path: string): CID => {
      directories++;
      const children = Array.from({ length: 10 }, (_, file) => {
        const bytes = Buffer.from(`${path} ${file}`);
        const cid = rawFiles ? dag.raw(bytes) : dag.part([], bytes).cid;
        return { name: `f${file}`, cid, tsize: bytes.length };
      });
      for (let child = 0; level > 0 && child < wide; child++) {
        children.push({ name: `d${child}`, cid: directory(level - 1, `${path}/${child}`), tsize: 1000 });
      }
      return dag.directory(children);
    };
    return { root: directory(levels, ''), directories };
  }

  async function roundTrips(wide: number, levels: number, rawFiles: boolean) {
    const content = new BlockMap();
    const { root, directories } = build(wide, levels, new DagBuilder(content), rawFiles);
    const link = new LinkFileSystem(content, FAST_FAR);
    const node = await link.mount(root);
    const startMs = link.clock.nowMs();
    let listed = 0;
    // As `find` does: depth first, one directory at a time.
    const walk = async (directory: NodeId): Promise<void> => {
      listed++;
      for (const { kind, node: child } of await listAll(link.fileSystem, directory, true, 100)) {
        if (kind === 'directory') await walk(child);
      }
    };
    await link.elapse(walk(node));
    expect(listed).toBe(directories);
    const blocks = rawFiles ? directories : 11 * directories;
    return { directories, trips: (link.clock.nowMs() - startMs) / roundTripMs, needed: blocks / MOST_AT_ONCE };
  }

  // The window to the source begins at 16 and doubles every second round trip: ten of them until it is full.
  const BEGINNING = 12;

  test.each([
    { wide: 17, levels: 3 },
    { wide: 70, levels: 2 },
    { wide: 5000, levels: 1 },
    { wide: 5, levels: 5 },
  ])('$wide across and $levels deep costs round trips by depth', async ({ wide, levels }) => {
    const { directories, trips, needed } = await roundTrips(wide, levels, true);
    expect(directories).toBeGreaterThan(3900);
    expect(trips).toBeLessThan(needed + BEGINNING + levels);
  });

  test('files with a block of their own keep the path full', async () => {
    const { trips, needed } = await roundTrips(10, 3, false);
    expect(trips).toBeLessThan(needed + BEGINNING + 3);
  });
});
