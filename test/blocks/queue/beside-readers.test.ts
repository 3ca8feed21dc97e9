/**
 * What nobody waits for yet, beside a reader who asks for a block now and then: it fills the link, and no more of it stands
 * before the reader than what the path holds and a block. Times are the model's.
 */
import { describe, expect, it } from 'vitest';
import type { Block } from '../../../src/blocks/block.ts';
import { PRIORITIES, type Priority } from '../../../src/blocks/priority.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { LinkSource } from '../../support/link-source.ts';
import { makeBlocks } from '../../support/make-block.ts';
import { seeded } from '../../support/seeded.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ROUND_TRIP_MS = 50;
const READ_BYTES = 100 * KIB;

/** Blocks of each size that take turns, and their share among those that are wanted. */
interface Kind {
  readonly blocks: readonly Block[];
  readonly share: number;
}

const SMALL = makeBlocks(600, 3000);
const LARGE = makeBlocks(64, MIB);
const MIXES: Readonly<Record<string, readonly Kind[]>> = {
  'blocks of 1 MiB': [{ blocks: LARGE, share: 1 }],
  'blocks of 3 KB to 1 MiB': [
    { blocks: SMALL, share: 0.6 },
    { blocks: makeBlocks(200, 64 * KIB), share: 0.25 },
    { blocks: makeBlocks(80, 256 * KIB), share: 0.1 },
    { blocks: LARGE, share: 0.05 },
  ],
};
const READS = makeBlocks(200, READ_BYTES);

interface Seen {
  /** What the reader waited beyond what it would alone. */
  readonly extraMs: readonly number[];
  /** Of the link. */
  readonly share: number;
}

/** One of `kinds` by its share, for an `at` from 0 to 1. */
function pick<T extends { readonly share: number }>(kinds: readonly T[], at: number): T | undefined {
  let left = at;
  for (const kind of kinds) {
    left -= kind.share;
    if (left <= 0) return kind;
  }
  return kinds[0];
}

/** The start, of which nothing is known, and what follows. */
async function watch(megabits: number, priority: Priority, kinds: readonly Kind[], seed: number): Promise<Seen[]> {
  const clock = new FakeClock();
  const random = seeded(seed);
  const bytesPerMs = megabits * 125;
  const blocks = kinds.flatMap((kind) => kind.blocks);
  const source = new LinkSource(clock, [...blocks, ...READS], ROUND_TRIP_MS, bytesPerMs);
  const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random });
  const idle = kinds.map((kind) => ({ share: kind.share, blocks: [...kind.blocks] }));
  const want = (): void => {
    const kind = pick(idle, random());
    const block = kind?.blocks.pop();
    if (!block) return void clock.schedule(1, want);
    const again = () => {
      kind?.blocks.push(block);
      want();
    };
    void queue.want(block.cid, { priority, expectedBytes: block.bytes.length }).then(again, () => {});
  };
  for (let index = 0; index < (kinds.length > 1 ? 400 : 60); index++) want();
  const aloneMs = ROUND_TRIP_MS + READ_BYTES / bytesPerMs;
  const reads = [...READS];
  const during = async (durationMs: number): Promise<Seen> => {
    const [sinceMs, sentBytes] = [clock.nowMs(), source.sentBytes];
    const extraMs: number[] = [];
    while (clock.nowMs() < sinceMs + durationMs) {
      const block = reads.shift() as Block;
      reads.push(block);
      const askedMs = clock.nowMs();
      const came = () => extraMs.push(clock.nowMs() - askedMs - aloneMs);
      void queue.want(block.cid, { priority: 'demand' }).then(came, () => {});
      await clock.advance(aloneMs * (1.2 + random()));
    }
    return { extraMs, share: (source.sentBytes - sentBytes) / bytesPerMs / (clock.nowMs() - sinceMs) };
  };
  // So that its first want is behind all of them.
  await clock.advance(1);
  // What the path holds is known after that.
  const start = await during(Math.max(25 * aloneMs, (32 * MIB) / bytesPerMs));
  const later = await during(Math.max(40 * aloneMs, (24 * MIB) / bytesPerMs));
  await queue.close();
  return [start, later];
}

const cases = [10, 100, 1000].flatMap((megabits) =>
  Object.keys(MIXES).flatMap((mix) =>
    PRIORITIES.filter((priority) => priority !== 'demand').map((priority) => ({ megabits, mix, priority })),
  ),
);

describe('beside a reader', () => {
  it.each(cases)('$priority of $mix fills $megabits Mbit/s, and little of it is before the reader', async (one) => {
    const bytesPerMs = one.megabits * 125;
    for (const seed of [1, 2]) {
      const [start, later] = await watch(one.megabits, one.priority, MIXES[one.mix] ?? [], seed);
      if (!start || !later) throw new Error('two times');
      // Two megabytes and a block at once, and on a fast link up to twice what it holds before it is known to be full.
      expect(Math.max(...start.extraMs)).toBeLessThan(Math.max((3.5 * MIB) / bytesPerMs, 2.5 * ROUND_TRIP_MS));
      // A block that may be too much, half of one on the link, and what may be there to have no gap.
      const queueMs = (one.priority === 'profile' ? 1 : 0.25) * ROUND_TRIP_MS;
      expect(later.extraMs.length).toBeGreaterThan(20);
      expect(Math.max(...later.extraMs)).toBeLessThan(queueMs + (1.75 * MIB) / bytesPerMs);
      // Of a slow link half a block is more: by as much fewer may be under way.
      expect(later.share).toBeGreaterThan(one.megabits >= 1000 ? 0.9 : 0.7);
    }
  });
});
