/**
 * The want queue over modelled links: the path is filled, and the reader beside a background fill does not feel it.
 * Times are the model's, so that what is asserted is the queueing itself, in blocks, and not this machine's speed.
 *
 * The blocks are scaled down a hundredfold together with the rate: what counts is blocks a round trip.
 */
import type { CID } from 'multiformats/cid';
import { describe, expect, it } from 'vitest';
import type { Block } from '../../../src/blocks/block.ts';
import type { Priority } from '../../../src/blocks/priority.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { LinkSource } from '../../support/link-source.ts';
import { makeBlocks } from '../../support/make-block.ts';

interface Link {
  readonly name: string;
  readonly roundTripMs: number;
  /** Time of one block on the link. */
  readonly blockMs: number;
}

const BLOCK_BYTES = 1000;

const LINKS: readonly Link[] = [
  { name: '1 Gbit/s, 50 ms, 1 MiB', roundTripMs: 50, blockMs: 8.4 },
  { name: '1 Gbit/s, 50 ms, 256 KiB', roundTripMs: 50, blockMs: 2.1 },
  { name: '1 Gbit/s, 1 ms, 256 KiB', roundTripMs: 1, blockMs: 2.1 },
  { name: '100 Mbit/s, 50 ms, 1 MiB', roundTripMs: 50, blockMs: 84 },
  { name: '25 Mbit/s, 100 ms, 256 KiB', roundTripMs: 100, blockMs: 84 },
];

/** A queue at the end of `link`, kept full of wants of `priority`. */
function running(link: Link, priority: Priority, blockCount: number) {
  const clock = new FakeClock();
  const blocks = makeBlocks(blockCount, BLOCK_BYTES);
  const source = new LinkSource(clock, blocks, link.roundTripMs, BLOCK_BYTES / link.blockMs);
  const queue = new WantQueue({ sources: [source], timeoutMs: 600_000, clock, random: () => 0.5 });
  let next = 0;
  const more = (): void => {
    const block = blocks[next++];
    if (block) void queue.want(block.cid, { priority }).then(more, () => {});
  };
  for (let index = 0; index < 300; index++) more();
  /** Share of the link used over the next `durationMs`, and the waits of a reader that asks for a block now and then. */
  const measure = async (durationMs: number, everyMs?: number) => {
    const startBytes = source.bytes;
    const waitsMs: number[] = [];
    const endMs = clock.nowMs() + durationMs;
    while (clock.nowMs() < endMs) {
      const block = everyMs ? blocks.pop() : undefined;
      if (block) {
        const askedMs = clock.nowMs();
        const waited = () => waitsMs.push(clock.nowMs() - askedMs);
        void queue.want(block.cid, { priority: 'demand' }).then(waited, () => {});
      }
      await clock.advance(everyMs ?? durationMs);
    }
    return { share: ((source.bytes - startBytes) / BLOCK_BYTES) * (link.blockMs / durationMs), waitsMs };
  };
  return { clock, queue, source, measure };
}

function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN;
}

describe.each(LINKS)('$name', (link) => {
  const idleMs = link.roundTripMs + link.blockMs;
  // Long enough for hundreds of blocks and a search of the window at each.
  const warmUpMs = 80 * idleMs;

  it('background fills the link and the reader waits for about one block of it', async () => {
    const { queue, measure } = running(link, 'background', 16_000);
    await measure(warmUpMs);
    // Not in step with the blocks.
    const everyMs = 1.37 * idleMs;
    const { share, waitsMs } = await measure(300 * everyMs, everyMs);
    await queue.close();
    const queuedBlocks = (percentile(waitsMs, 0.99) - idleMs) / link.blockMs;
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThan(1.01);
    expect(waitsMs.length).toBeGreaterThan(290);
    // The block on the link, and the one that rounding the window up to a whole number lets in; never a full window.
    expect(queuedBlocks).toBeLessThan(2);
    if (link.roundTripMs > 5 * link.blockMs) expect(percentile(waitsMs, 0.99)).toBeLessThanOrEqual(1.2 * idleMs);
  });

  it('readahead reaches the link within a few round trips', async () => {
    const { queue, measure } = running(link, 'readahead', 2000);
    await measure(5 * Math.max(link.roundTripMs, 16 * link.blockMs));
    const { share } = await measure(10 * idleMs);
    await queue.close();
    expect(share).toBeGreaterThan(0.9);
  });
});

it('leaves readers no standing queue where answers are late now and then, and the link a few per cent idle at most', async () => {
  const link: Link = { name: '', roundTripMs: 52, blockMs: 8.4 };
  const idleMs = link.roundTripMs + link.blockMs;
  const { clock, source, queue, measure } = running(link, 'background', 16_000);
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
  expect((percentile(waitsMs, 0.5) - idleMs) / link.blockMs).toBeLessThan(1.3);
  expect((percentile(waitsMs, 0.99) - idleMs) / link.blockMs).toBeLessThan(2.3);
});

describe('a link that changes', () => {
  const link = { name: '', roundTripMs: 50, blockMs: 8 };

  it.each([
    ['becomes four times as fast', 50, 2],
    ['becomes four times as slow', 50, 32],
    ['becomes four times as long', 200, 8],
  ])('is filled again and not flooded when it %s', async (_change, roundTripMs, blockMs) => {
    const { queue, source, measure } = running(link, 'background', 16_000);
    await measure(6000);
    source.roundTripMs = roundTripMs;
    source.bytesPerMs = BLOCK_BYTES / blockMs;
    await measure(18_000);
    const { share } = await measure(3000);
    const fitting = (roundTripMs + blockMs) / blockMs;
    const limit = queue.sources[0]?.limit ?? 0;
    await queue.close();
    expect(share * (blockMs / link.blockMs)).toBeGreaterThan(0.85);
    expect(limit).toBeLessThan(1.5 * fitting + 2);
  });

  it('is filled again soon after an outage', async () => {
    const { queue, source, measure } = running(link, 'background', 16_000);
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
    ['100 Mbit/s and 20 ms', 20, 50],
    ['1 Gbit/s and 50 ms', 50, 5],
    ['5 Mbit/s and 60 ms', 60, 1000],
  ])('does not stand in front of readers, and fills the link again: %s', async (_link, roundTripMs, blockMs) => {
    const clock = new FakeClock();
    const small = makeBlocks(8000, BLOCK_BYTES / 100);
    const large = makeBlocks(4000, BLOCK_BYTES);
    const blocks = [...small, ...large.slice(1000)];
    const source = new LinkSource(clock, [...small, ...large], roundTripMs, BLOCK_BYTES / blockMs);
    const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random: () => 0.5 });
    const more = (): void => {
      const block = blocks.shift();
      if (!block) return;
      void queue.want(block.cid, { priority: 'background', expectedBytes: block.bytes.length }).then(more, () => {});
    };
    for (let index = 0; index < 256; index++) more();
    while (blocks.length > 2900) await clock.advance(roundTripMs / 2);
    const waits: number[] = [];
    const idleMs = roundTripMs + blockMs;
    for (let read = 0; read < 40; read++) {
      const askedMs = clock.nowMs();
      const block = large[read];
      if (block) void queue.want(block.cid, { priority: 'demand' }).then(() => waits.push(clock.nowMs() - askedMs));
      await clock.advance(1.37 * idleMs);
    }
    const before = source.bytes;
    await clock.advance(20 * idleMs);
    await queue.close();
    expect(waits.length).toBeGreaterThan(30);
    expect((Math.max(...waits) - idleMs) / blockMs).toBeLessThan(3.5);
    expect(((source.bytes - before) / BLOCK_BYTES) * blockMs).toBeGreaterThan(0.85 * 20 * idleMs);
  });
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
  expect(queue.sources[0]?.limit).toBeGreaterThan(40);
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
  // Where they are believed, sixty-five blocks stand before it.
  expect(waitedMs).toBeLessThan(1.1 * (link.roundTripMs + 6 * link.blockMs));
});
