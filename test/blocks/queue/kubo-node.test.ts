/**
 * A Kubo node as the source, which answers later the more it is asked for: as much is under way as pays, soon. Times are the model's.
 */
import { describe, expect, it } from 'vitest';
import type { Block } from '../../../src/blocks/block.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { KuboSource } from '../../support/kubo-source.ts';
import { makeBlocks } from '../../support/make-block.ts';

const MIB = 1024 * 1024;
const BLOCKS = makeBlocks(80, MIB);
/** Of a block that is asked for alone, beside its five round trips. */
const ALONE_MS = 35;

function modelled(roundTripMs: number) {
  const clock = new FakeClock();
  const source = new KuboSource(clock, BLOCKS, { roundTripMs, bytesPerMs: 125_000 });
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
  return rateOver(4000 + 10 * roundTripMs);
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

describe.each([1, 10, 50, 200])('a Kubo node %i ms from its origin', (roundTripMs) => {
  it.each([
    // What is left for readers costs the background a part where delays grow with each.
    ['readahead', 0.9],
    ['background', 0.75],
  ] as const)('has as much %s under way as pays, and soon', async (priority, least) => {
    const paying = await payingRate(roundTripMs);
    const { clock, source, next, rateOver } = modelled(roundTripMs);
    const queue = new WantQueue({ sources: [source], timeoutMs: 3_600_000, clock, random: () => 0.5 });
    const more = (): void => {
      void queue.want(next().cid, { priority, expectedBytes: MIB }).then(more, () => {});
    };
    for (let index = 0; index < 40; index++) more();
    const delayMs = ALONE_MS + 5 * roundTripMs;
    await clock.advance(8 * delayMs);
    const soon = await rateOver(10 * delayMs);
    const later = await rateOver(20_000);
    await queue.close();
    expect(soon).toBeGreaterThan(0.6 * paying);
    expect(later).toBeGreaterThan(least * paying);
  });
});
