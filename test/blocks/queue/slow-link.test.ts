/** A link on which a block takes longer than a request may be silent: what moves is not given up, and no flood is made of it. */
import { expect, it } from 'vitest';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultSource } from '../../support/fault-source.ts';
import { makeBlocks } from '../../support/make-block.ts';
import { SharedLinkSource } from '../../support/shared-link-source.ts';

const KIB = 1024;
const BLOCK_BYTES = 256 * KIB;

/** `blockSeconds`: of one block alone on the link. */
function running(blockSeconds: number, blockCount = 100) {
  const clock = new FakeClock();
  const blocks = makeBlocks(blockCount, BLOCK_BYTES);
  const source = new SharedLinkSource(clock, blocks, BLOCK_BYTES / (blockSeconds * 1000));
  const queue = new WantQueue({ sources: [source], timeoutMs: 60_000, clock, random: () => 0.5 });
  const cidAt = (index: number) => {
    const block = blocks[index];
    if (!block) throw new Error('too few blocks');
    return block.cid;
  };
  return { clock, source, queue, cidAt };
}

it('brings a block that takes longer than a request may be silent', async () => {
  const { clock, queue, cidAt } = running(30);
  let came = 0;
  void queue.want(cidAt(0), { priority: 'demand', expectedBytes: BLOCK_BYTES }).then(
    () => came++,
    () => {},
  );
  await clock.advance(31_000);
  await queue.close();
  expect(came).toBe(1);
});

it.each([2, 8])('brings a fill of blocks of %i s each, nothing twice, and few at once', async (blockSeconds) => {
  const { clock, source, queue, cidAt } = running(blockSeconds);
  let came = 0;
  for (let index = 0; index < 60; index++)
    void queue.want(cidAt(index), { priority: 'background', timeoutMs: 3_600_000, expectedBytes: BLOCK_BYTES }).then(
      () => came++,
      () => {},
    );
  await clock.advance(60 * blockSeconds * 1000);
  const { maxInFlight, bytes } = source;
  await queue.close();
  // What is on its way at the end is not here.
  expect(came * BLOCK_BYTES).toBeGreaterThan(bytes - maxInFlight * BLOCK_BYTES);
  expect(maxInFlight).toBeLessThanOrEqual(8);
});

it('gives up what comes so slowly that it would never be here, and asks the next source', async () => {
  const clock = new FakeClock();
  const blocks = makeBlocks(1, BLOCK_BYTES);
  const [trickle, link] = [1_000_000, 100].map((ms) => new SharedLinkSource(clock, blocks, BLOCK_BYTES / ms));
  if (!trickle || !link) throw new Error('two sources');
  const queue = new WantQueue({ sources: [trickle, link], timeoutMs: 60_000, clock, random: () => 0.5 });
  const seen: number[] = [];
  const options = { priority: 'background', expectedBytes: BLOCK_BYTES } as const;
  for (const { cid } of blocks)
    void queue.want(cid, options).then(
      () => seen.push(clock.nowMs()),
      () => {},
    );
  await clock.advance(21_000);
  await queue.close();
  expect(seen).toHaveLength(1);
});

it('says of a source that sends too slowly for a reader that it was sending', async () => {
  const { clock, queue, cidAt } = running(90);
  const seen = queue.want(cidAt(0), { priority: 'demand', expectedBytes: BLOCK_BYTES }).catch(String);
  await clock.advance(60_000);
  expect(await seen).toContain('did not come within 60 s (link: it was coming, too slowly)');
  await queue.close();
});

it('has no more of a fill on its way at a source that fell silent than it may send at once when it is back', async () => {
  const clock = new FakeClock();
  const blocks = makeBlocks(600, 256 * KIB);
  const source = new FaultSource('a', clock, blocks, () => ({ answer: 'block', delayMs: 50 }));
  const queue = new WantQueue({ sources: [source], timeoutMs: 600_000, clock, random: () => 0.5 });
  const options = { priority: 'background', expectedBytes: 256 * KIB } as const;
  for (const { cid } of blocks) void queue.want(cid, options).catch(() => {});
  // Before the first round trip is over, after which 8 MiB may be under way.
  await clock.advance(40);
  source.script = () => 'silent';
  source.maxInFlight = 0;
  await clock.advance(19_000);
  const { maxInFlight } = source;
  await queue.close();
  // More than the path holds, since what is slow may be searched for: but 16 MiB, or twice the path.
  expect(maxInFlight).toBeGreaterThan(16);
  expect(maxInFlight).toBeLessThanOrEqual(130);
});
