/**
 * A Kubo node as the source, which answers later the more it is asked for: as much is under way as pays, soon. Times are the model's.
 */
import { describe, expect, it } from 'vitest';
import type { Block } from '../../../src/blocks/block.ts';
import type { Priority } from '../../../src/blocks/priority.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { KuboSource } from '../../support/kubo-source.ts';
import { makeBlocks } from '../../support/make-block.ts';

const MIB = 1024 * 1024;
const BLOCKS = makeBlocks(80, MIB);
/** Of a block that is asked for alone, beside its five round trips. */
const ALONE_MS = 35;

function modelled(roundTripMs: number, seed = 1) {
  const clock = new FakeClock();
  const source = new KuboSource(clock, BLOCKS, { roundTripMs, bytesPerMs: 125_000 }, seed);
  let turn = 0;
  const next = () => BLOCKS[turn++ % BLOCKS.length] as Block;
  /** In MiB a second. */
  const rateOver = async (durationMs: number): Promise<number> => {
    const before = source.bytes;
    await clock.advance(durationMs);
    return ((source.bytes - before) / MIB / durationMs) * 1000;
  };
  return { clock, source, next, rateOver };
}

/** What so many requests at once bring, whoever makes them. */
async function rateOf(atOnce: number, roundTripMs: number): Promise<number> {
  const { clock, source, next, rateOver } = modelled(roundTripMs);
  const more = (): void => void source.getBlock(next().cid).then(more);
  for (let index = 0; index < atOnce; index++) more();
  await clock.advance(1000 + 5 * roundTripMs);
  return rateOver(2000 + 10 * roundTripMs);
}

/** What as many bring as pay: twice as many would bring less than a quarter more. No more than 32 MiB, which are kept in memory. */
async function payingRate(roundTripMs: number): Promise<number> {
  let rate = await rateOf(1, roundTripMs);
  for (let atOnce = 2; atOnce <= 32; atOnce *= 2) {
    const more = await rateOf(atOnce, roundTripMs);
    if (more < 1.25 * rate) return rate;
    rate = more;
  }
  return rate;
}

/** The rates over ten delays after the first eight, and over 10 s thereafter. */
async function ratesOf(priority: Priority, roundTripMs: number, seed: number) {
  const { clock, source, next, rateOver } = modelled(roundTripMs, seed);
  const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random: () => 0.5 });
  const more = (): void => {
    void queue.want(next().cid, { priority, expectedBytes: MIB }).then(more, () => {});
  };
  for (let index = 0; index < 40; index++) more();
  const delayMs = ALONE_MS + 5 * roundTripMs;
  await clock.advance(8 * delayMs);
  const soon = await rateOver(10 * delayMs);
  const later = await rateOver(10_000);
  await queue.close();
  return { soon, later };
}

describe.each([1, 10, 50, 200])('a Kubo node %i ms from its origin', (roundTripMs) => {
  it.each([
    ['readahead', 0.85],
    // Just what the path holds, and delays that grow with each say little of how much that is.
    ['background', 0.7],
  ] as const)('has as much %s under way as pays, and soon', async (priority, least) => {
    const paying = await payingRate(roundTripMs);
    const seen: Awaited<ReturnType<typeof ratesOf>>[] = [];
    for (const seed of [1, 2]) seen.push(await ratesOf(priority, roundTripMs, seed));
    const mean = (of: 'soon' | 'later') => seen.reduce((sum, rates) => sum + rates[of], 0) / seen.length;
    expect(mean('soon')).toBeGreaterThan(0.6 * paying);
    expect(mean('later')).toBeGreaterThan(least * paying);
  });
});

it('has as many small blocks under way as a walk through a tree may have, though they take the longer the more they are', async () => {
  const small = makeBlocks(5000, 1000);
  const take = async (
    atOnce: number,
    get: (source: KuboSource, clock: FakeClock) => (block: Block) => Promise<unknown>,
  ) => {
    const clock = new FakeClock();
    const source = new KuboSource(clock, small, { roundTripMs: 25, bytesPerMs: 125_000 });
    const sinceMs = clock.nowMs();
    const getOne = get(source, clock);
    let turn = 0;
    let tookMs = Number.POSITIVE_INFINITY;
    const more = async (): Promise<void> => {
      for (let block = small[turn++]; block; block = small[turn++]) await getOne(block);
    };
    void Promise.all(Array.from({ length: atOnce }, more)).then(() => {
      tookMs = clock.nowMs() - sinceMs;
    });
    await clock.advance(10_000);
    return tookMs;
  };
  const leastMs = await take(
    256,
    (source) =>
      ({ cid }) =>
        source.getBlock(cid),
  );
  const tookMs = await take(1000, (source, clock) => {
    const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random: () => 0.5 });
    return ({ cid, bytes }) => queue.want(cid, { priority: 'metadata', expectedBytes: bytes.length });
  });
  expect(tookMs).toBeLessThan(1.05 * leastMs);
});
