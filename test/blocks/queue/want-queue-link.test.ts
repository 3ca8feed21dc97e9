/**
 * The want queue over modelled links: the path is filled, and the reader beside a background fill does not feel it.
 * Times are the model's, so that what is asserted is the queueing itself, in blocks, and not this machine's speed.
 */
import type { CID } from 'multiformats/cid';
import { describe, expect, it } from 'vitest';
import type { Block } from '../../../src/blocks/block.ts';
import type { Priority } from '../../../src/blocks/priority.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultSource } from '../../support/fault-source.ts';
import { LinkSource, RangeLinkSource } from '../../support/link-source.ts';
import { makeBlocks } from '../../support/make-block.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GOLDEN_RATIO = 1.618;

interface Link {
  readonly name: string;
  readonly roundTripMs: number;
  readonly megabits: number;
  readonly blockBytes: number;
}

const LINKS: readonly Link[] = [
  { name: '1 Gbit/s, 50 ms, 1 MiB', roundTripMs: 50, megabits: 1000, blockBytes: MIB },
  { name: '1 Gbit/s, 50 ms, 256 KiB', roundTripMs: 50, megabits: 1000, blockBytes: 256 * KIB },
  { name: '1 Gbit/s, 1 ms, 256 KiB', roundTripMs: 1, megabits: 1000, blockBytes: 256 * KIB },
  { name: '100 Mbit/s, 50 ms, 1 MiB', roundTripMs: 50, megabits: 100, blockBytes: MIB },
  { name: '25 Mbit/s, 100 ms, 256 KiB', roundTripMs: 100, megabits: 25, blockBytes: 256 * KIB },
];

/** Of one block on the link. */
function blockMsOf({ blockBytes, megabits }: Link): number {
  return blockBytes / (megabits * 125);
}

/** What takes turns, so that a fill of any length needs no more memory than 64 MiB; the queue keeps nothing. */
function blocksInTurns(blockBytes: number) {
  const blocks = makeBlocks(Math.min(256, (64 * MIB) / blockBytes), blockBytes);
  let turn = 0;
  return { blocks, next: () => blocks[turn++ % blocks.length] as Block };
}

/** A queue at the end of `link`, kept full of wants of `priority`. */
function running(link: Link, priority: Priority) {
  const clock = new FakeClock();
  const { blocks, next } = blocksInTurns(link.blockBytes);
  const reads = makeBlocks(16, link.blockBytes + 1);
  const source = new LinkSource(clock, [...blocks, ...reads], link.roundTripMs, link.megabits * 125);
  const queue = new WantQueue({ sources: [source], timeoutMs: 600_000, clock, random: () => 0.5 });
  const more = (): void => {
    void queue.want(next().cid, { priority }).then(more, () => {});
  };
  // One in eight is on its way back whenever it is asked for again.
  for (let index = 0; index < (blocks.length * 7) / 8; index++) more();
  let read = 0;
  /** Share of the link used over the next `durationMs`, and the waits of a reader that asks for a block now and then. */
  const measure = async (durationMs: number, everyMs?: number) => {
    const startBytes = source.sentBytes;
    const waitsMs: number[] = [];
    const endMs = clock.nowMs() + durationMs;
    while (clock.nowMs() < endMs) {
      const block = everyMs ? reads[read++ % reads.length] : undefined;
      if (block) {
        const askedMs = clock.nowMs();
        const waited = () => waitsMs.push(clock.nowMs() - askedMs);
        void queue.want(block.cid, { priority: 'demand' }).then(waited, () => {});
      }
      // Not in step with the blocks.
      await clock.advance((everyMs ?? durationMs) * (everyMs ? 0.8 + 0.4 * ((read * GOLDEN_RATIO) % 1) : 1));
    }
    return { share: (source.sentBytes - startBytes) / (link.megabits * 125) / durationMs, waitsMs };
  };
  return { clock, queue, source, measure };
}

function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN;
}

describe.each(LINKS)('$name', (link) => {
  const blockMs = blockMsOf(link);
  const idleMs = link.roundTripMs + blockMs;
  // Long enough for hundreds of blocks and a search of the window at each.
  const warmUpMs = 80 * idleMs;

  it('background fills the link and the reader waits for about one block of it', async () => {
    const { queue, measure } = running(link, 'background');
    await measure(warmUpMs);
    const everyMs = 1.37 * idleMs;
    const { share, waitsMs } = await measure(300 * everyMs, everyMs);
    await queue.close();
    const queuedBlocks = (percentile(waitsMs, 0.99) - idleMs) / blockMs;
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThan(1.01);
    expect(waitsMs.length).toBeGreaterThan(290);
    // The block on the link, and the one that rounding the window up to a whole number lets in; never a full window.
    expect(queuedBlocks).toBeLessThan(2.2);
    if (link.roundTripMs > 5 * blockMs) expect(percentile(waitsMs, 0.99)).toBeLessThanOrEqual(1.2 * idleMs);
  });

  it('readahead reaches the link within a few round trips', async () => {
    const { queue, measure } = running(link, 'readahead');
    await measure(5 * Math.max(link.roundTripMs, 16 * blockMs));
    const { share } = await measure(10 * idleMs);
    await queue.close();
    expect(share).toBeGreaterThan(0.9);
  });
});

it('leaves readers no standing queue where answers are late now and then, and the link a few per cent idle at most', async () => {
  const link: Link = { name: '', roundTripMs: 52, megabits: 1000, blockBytes: MIB };
  const blockMs = blockMsOf(link);
  const idleMs = link.roundTripMs + blockMs;
  const { clock, source, queue, measure } = running(link, 'background');
  // As on a machine that does more than this: answers wait for the processor, most of them a little.
  const getBlock = source.getBlock.bind(source);
  let count = 0;
  source.getBlock = async (...request) => {
    const bytes = await getBlock(...request);
    await clock.wait([0.5, 1, 2, 3, 1, 6][count++ % 6] as number);
    return bytes;
  };
  // The path holds 7.3 blocks.
  await measure(80 * idleMs);
  const everyMs = 1.37 * idleMs;
  await measure(60 * everyMs, everyMs);
  const { share, waitsMs } = await measure(300 * everyMs, everyMs);
  await queue.close();
  expect(share).toBeGreaterThan(0.9);
  // 1.6 and 2.5 with a window that is rounded up.
  expect((percentile(waitsMs, 0.5) - idleMs) / blockMs).toBeLessThan(1.3);
  expect((percentile(waitsMs, 0.99) - idleMs) / blockMs).toBeLessThan(2.3);
});

it.each([
  ['a gigabit', 1000, 300],
  ['100 Mbit/s', 100, 1250],
  ['10 Mbit/s', 10, 11_500],
])(
  'a start of 13 MiB in blocks of 27 KB takes little longer than %s needs for them',
  async (_name, megabits, mostMs) => {
    const clock = new FakeClock();
    const blocks = makeBlocks(500, 27_000);
    const source = new LinkSource(clock, blocks, 50, megabits * 125);
    const queue = new WantQueue({ sources: [source], timeoutMs: 600_000, clock, random: () => 0.5 });
    const startMs = clock.nowMs();
    let tookMs = Number.POSITIVE_INFINITY;
    const wants = blocks.map(({ cid, bytes }) => queue.want(cid, { priority: 'profile', expectedBytes: bytes.length }));
    void Promise.all(wants).then(() => {
      tookMs = clock.nowMs() - startMs;
    });
    await clock.advance(20_000);
    await queue.close();
    expect(tookMs).toBeLessThan(mostMs);
  },
);

it.each([
  ['768 KiB', 'a gigabit', 1000, 12, 0.9],
  ['768 KiB', '100 Mbit/s', 100, 12, 0.9],
  // What is started beside it is larger, too, and the rate is found later.
  ['2 MiB', 'a gigabit', 1000, 32, 0.8],
  ['2 MiB', '100 Mbit/s', 100, 32, 0.9],
])(
  'ranges of %s in small blocks fill %s, and little of them is before a reader',
  async (_bytes, _link, megabits, count, least) => {
    const clock = new FakeClock();
    const leafBytes = 64 * KIB;
    const leaves = makeBlocks((128 * MIB) / leafBytes, leafBytes);
    const bytesPerMs = megabits * 125;
    const source = new RangeLinkSource(clock, leaves, 50, bytesPerMs);
    const queue = new WantQueue({ sources: [source], timeoutMs: 600_000, clock, random: () => 0.5 });
    let asked = 0;
    const more = (): void => {
      const from = asked;
      asked += count * leafBytes;
      if (asked <= 100 * MIB)
        void queue.wantRange(source.root, { from, to: asked - 1 }, { priority: 'readahead' }).then(more);
    };
    for (let index = 0; index < 40; index++) more();
    await clock.advance(300);
    const [sentBytes, askedMs] = [source.sentBytes, clock.nowMs()];
    let waitedMs = Number.POSITIVE_INFINITY;
    void queue.want((leaves.at(-1) as Block).cid, { priority: 'demand' }).then(() => {
      waitedMs = clock.nowMs() - askedMs;
    });
    await clock.advance(400);
    const share = (source.sentBytes - sentBytes) / bytesPerMs / 400;
    await queue.close();
    expect(share).toBeGreaterThan(least);
    expect(waitedMs).toBeLessThan(50 + Math.max((2.5 * MIB) / bytesPerMs, 100));
  },
);

it('gives a source that takes its time over each block, and longer over large ones, as many as it brings at once', async () => {
  // A Kubo node that asks its peers: the root's block took less.
  const clock = new FakeClock();
  const { blocks, next } = blocksInTurns(MIB);
  const [root, ...others] = [...makeBlocks(1, 3000), ...blocks] as [Block, ...Block[]];
  const source = new FaultSource('kubo', clock, [root, ...others], (_call, cid) => ({
    answer: 'block',
    delayMs: cid.equals(root.cid) ? 60 : 300,
  }));
  const queue = new WantQueue({ sources: [source], timeoutMs: 600_000, clock, random: () => 0.5 });
  void queue.want(root.cid, { priority: 'demand' });
  await clock.advance(100);
  const more = (): void => {
    void queue.want(next().cid, { priority: 'readahead', expectedBytes: MIB }).then(more, () => {});
  };
  for (let index = 0; index < 48; index++) more();
  await clock.advance(6000);
  await queue.close();
  expect(source.maxInFlight).toBeGreaterThan(16);
});

describe('a link that changes', () => {
  const link: Link = { name: '', roundTripMs: 50, megabits: 1000, blockBytes: MIB };

  it.each([
    ['becomes four times as fast', 50, 4000],
    ['becomes four times as slow', 50, 250],
    ['becomes four times as long', 200, 1000],
  ])('is filled again and not flooded when it %s', async (_change, roundTripMs, megabits) => {
    const { queue, source, measure } = running(link, 'background');
    await measure(6000);
    source.roundTripMs = roundTripMs;
    source.bytesPerMs = megabits * 125;
    await measure(18_000);
    const { share } = await measure(3000);
    const fitting = roundTripMs / blockMsOf({ ...link, megabits }) + 1;
    const limit = queue.sources[0]?.limit ?? 0;
    await queue.close();
    expect(share * (link.megabits / megabits)).toBeGreaterThan(0.85);
    expect(limit).toBeLessThan(1.5 * fitting + 2);
  });

  it('is filled again soon after an outage', async () => {
    const { queue, source, measure } = running(link, 'background');
    await measure(6000);
    source.down = true;
    await measure(20_000);
    source.down = false;
    // The next probe, and the climb.
    await measure(5000);
    const { share } = await measure(3000);
    await queue.close();
    expect(share).toBeGreaterThan(0.85);
  });
});

describe('a fill of small blocks that is followed by large ones', () => {
  it.each([
    ['100 Mbit/s and 20 ms', 20, 100, MIB],
    ['1 Gbit/s and 50 ms', 50, 1000, MIB],
    ['5 Mbit/s and 60 ms', 60, 5, 256 * KIB],
  ])(
    'does not stand in front of readers, and fills the link again: %s',
    async (_link, roundTripMs, megabits, largeBytes) => {
      const clock = new FakeClock();
      const small = makeBlocks(8000, 2000);
      const large = blocksInTurns(largeBytes);
      const reads = makeBlocks(40, 100 * KIB);
      const bytesPerMs = megabits * 125;
      const source = new LinkSource(clock, [...small, ...large.blocks, ...reads], roundTripMs, bytesPerMs);
      const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random: () => 0.5 });
      let asked = 0;
      const more = (): void => {
        // Of the large ones fewer stand in line than take turns.
        if (asked - small.length > 50 && queue.waiting.background >= 50) return;
        const block = small[asked++] ?? large.next();
        void queue.want(block.cid, { priority: 'background', expectedBytes: block.bytes.length }).then(more, () => {});
      };
      for (let index = 0; index < 500; index++) more();
      while (asked < small.length + 50) await clock.advance(roundTripMs / 2);
      const blockMs = largeBytes / bytesPerMs;
      const idleMs = roundTripMs + (100 * KIB) / bytesPerMs;
      const waits: number[] = [];
      for (const { cid } of reads) {
        const askedMs = clock.nowMs();
        void queue.want(cid, { priority: 'demand' }).then(() => waits.push(clock.nowMs() - askedMs));
        await clock.advance(1.37 * (roundTripMs + blockMs));
      }
      const before = source.sentBytes;
      await clock.advance(20 * (roundTripMs + blockMs));
      const share = (source.sentBytes - before) / bytesPerMs / (20 * (roundTripMs + blockMs));
      await queue.close();
      expect(waits.length).toBeGreaterThan(30);
      // The large ones may bring more than the small ones did, and then it is searched for how much: up to twice what the path holds.
      expect(Math.max(...waits) - idleMs).toBeLessThan(Math.max(3.5 * blockMs, 2 * roundTripMs));
      expect(share).toBeGreaterThan(0.85);
    },
  );
});

it('a profile of large blocks, after small ones filled the path by the hundred, does not stand in front of readers', async () => {
  const clock = new FakeClock();
  const small = makeBlocks(3000, 2000);
  const large = makeBlocks(200, 256 * 1024);
  // 100 Mbit/s: 170 ms for 2 MiB.
  const source = new LinkSource(clock, [...small, ...large], 50, 12_500);
  const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random: () => 0.5 });
  const want = ({ cid, bytes }: Block, priority: Priority) =>
    queue.want(cid, { priority, expectedBytes: bytes.length }).catch(() => {});
  for (const block of small) void want(block, 'background');
  await clock.advance(5000);
  const [read, ...named] = large as [Block, ...Block[]];
  for (const block of named) void want(block, 'profile');
  await clock.advance(100);
  const askedMs = clock.nowMs();
  let waitedMs = Number.POSITIVE_INFINITY;
  void want(read, 'demand').then(() => {
    waitedMs = clock.nowMs() - askedMs;
  });
  await clock.advance(5000);
  await queue.close();
  // 71 ms alone, and twice what the path holds before it; 4 s behind all of them.
  expect(waitedMs).toBeLessThan(500);
  expect(source.bytes).toBeGreaterThan(45e6);
});

it('does not go by claims once they were wrong: blocks that say a byte each do not fill the link before a reader', async () => {
  const clock = new FakeClock();
  const link = { roundTripMs: 50, blockMs: 80 };
  const blocks = makeBlocks(3000, 300_000);
  const source = new LinkSource(clock, blocks, link.roundTripMs, 300_000 / link.blockMs);
  const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random: () => 0.5 });
  const liars = blocks.slice(0, 1000);
  const want = ({ cid }: { cid: CID }) => queue.want(cid, { priority: 'readahead', expectedBytes: 1 }).catch(() => {});
  // What the first burst brought came, and was larger.
  const first = Promise.all(liars.slice(0, 20).map(want));
  await clock.advance(5000);
  await first;
  for (const liar of liars.slice(20)) void want(liar);
  const askedMs = clock.nowMs();
  let waitedMs: number | undefined;
  void queue.want((blocks[2000] as Block).cid, { priority: 'demand' }).then(() => {
    waitedMs = clock.nowMs() - askedMs;
  });
  await clock.advance(20_000);
  await queue.close();
  // What may be under way before the path is known; where they are believed, sixty-five blocks stand before it.
  expect(waitedMs).toBeLessThan(1.1 * (link.roundTripMs + 8 * link.blockMs));
});
