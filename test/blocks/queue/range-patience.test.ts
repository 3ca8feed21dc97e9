/** Sources that say nothing to ranges, and serve blocks: whoever reads is not held up by each of them. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Block } from '../../../src/blocks/block.ts';
import type { DagScope, FetchOptions } from '../../../src/blocks/block-source.ts';
import { RangePatience } from '../../../src/blocks/queue/range-patience.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultRangeSource } from '../../support/fault-source.ts';
import { makeBlocks } from '../../support/make-block.ts';

const BLOCKS = makeBlocks(20);
const ROOT = (BLOCKS[0] as Block).cid;
const FIRST_BLOCK_MS = 5000;
const MINUTE_MS = 60_000;

/** Says nothing to a range until it is given up, or is told to `answer`. */
class MuteToRanges extends FaultRangeSource {
  answers = false;

  override async *getRange(root: Block['cid'], scope: DagScope, options: FetchOptions): AsyncIterable<Block> {
    if (this.answers) {
      yield* super.getRange(root, scope, options);
      return;
    }
    this.ranges++;
    await new Promise((_, reject) => options.signal.addEventListener('abort', () => reject(new Error('given up'))));
  }
}

describe('a source that says nothing to ranges', () => {
  const clock = new FakeClock();
  let queue: WantQueue;

  afterEach(() => queue.close());

  function build(): MuteToRanges {
    const source = new MuteToRanges('mute', clock, BLOCKS);
    source.range = BLOCKS.slice(0, 3);
    queue = new WantQueue({ sources: [source], timeoutMs: MINUTE_MS, clock, random: () => 1 });
    return source;
  }

  /** A reader of several ranges, one after the other, who wants the blocks of each that did not come: how long he took. */
  async function reading(ranges: number): Promise<number> {
    const begunMs = clock.nowMs();
    let endedMs: number | undefined;
    const read = async () => {
      for (let at = 0; at < ranges; at++) {
        await queue.wantRange(ROOT, { from: at * 10, to: at * 10 + 9 }, { priority: 'demand' });
        await queue.want((BLOCKS[at] as Block).cid, { priority: 'demand' });
      }
      endedMs = clock.nowMs();
    };
    const over = read();
    while (endedMs === undefined) await clock.advance(100);
    await over;
    return endedMs - begunMs;
  }

  it('is asked for no more of them after two, tried again with one at a time, and asked again as soon as one is answered', async () => {
    const source = build();
    expect(await reading(10)).toBeLessThan(3 * FIRST_BLOCK_MS);
    expect(source.ranges).toBe(2);
    await clock.advance(MINUTE_MS);
    expect(await reading(10)).toBeLessThan(2 * FIRST_BLOCK_MS);
    expect(source.ranges).toBe(3);
    // Twice as long.
    await clock.advance(MINUTE_MS);
    expect(await reading(10)).toBeLessThan(FIRST_BLOCK_MS);
    expect(source.ranges).toBe(3);
    await clock.advance(MINUTE_MS);
    source.answers = true;
    const asked = Array.from({ length: 4 }, (_, at) =>
      queue.wantRange(ROOT, { from: at, to: at }, { priority: 'demand' }),
    );
    await clock.advance(100);
    expect(await Promise.all(asked)).toEqual([3, 0, 0, 0]);
    await reading(5);
    expect(source.ranges).toBe(4 + 5);
  });

  it('is one that answers with other content, too', async () => {
    const source = build();
    source.answers = true;
    source.range = BLOCKS.slice(10);
    await reading(10);
    expect(source.ranges).toBe(2);
    source.range = BLOCKS.slice(0, 3);
    await clock.advance(MINUTE_MS);
    await reading(5);
    expect(source.ranges).toBe(2 + 5);
  });

  it('holds up readers whose time is shorter than that just as seldom', async () => {
    const source = build();
    for (let at = 0; at < 10; at++) {
      const count = queue.wantRange(ROOT, { from: at, to: at }, { priority: 'demand', timeoutMs: 2000 });
      await clock.advance(2000);
      expect(await count).toBe(0);
    }
    expect(source.ranges).toBe(2);
  });
});

it('takes ranges that were on their way together for one, and what was given up at once for nothing', async () => {
  const clock = new FakeClock();
  const patience = new RangePatience(clock, () => 1);
  for (let times = 0; times < 10; times++) {
    patience.sent();
    patience.nothingCame(clock.nowMs());
  }
  expect(patience.mayAsk).toBe(true);
  const sentAtMs = clock.nowMs();
  await clock.advance(FIRST_BLOCK_MS);
  for (let times = 0; times < 5; times++) patience.nothingCame(sentAtMs);
  for (let times = 0; times < 5; times++) patience.othersCame(sentAtMs);
  expect(patience.mayAsk).toBe(true);
  patience.answered();
  await clock.advance(FIRST_BLOCK_MS);
  patience.nothingCame(clock.nowMs() - FIRST_BLOCK_MS);
  expect(patience.mayAsk).toBe(true);
});
