/** How a source is shown that says nothing to anybody, what the log says of it, and that it is asked all the same. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import type { Priority } from '../../../src/blocks/priority.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { FaultRangeSource, FaultSource, type Script } from '../../support/fault-source.ts';
import { makeBlocks } from '../../support/make-block.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';

const BLOCKS = makeBlocks(100);
const SILENT: Script = () => 'silent';
/** One request to a source may take this long. */
const ATTEMPT_MS = 20_000;

/** A source that can be asked whether it answers at all. */
class PingedSource extends FaultSource {
  /** `undefined`: silent to that, too. */
  answersPing: (() => Promise<boolean>) | undefined;
  pings = 0;
  pinging = 0;

  async ping({ signal }: { readonly signal: AbortSignal }): Promise<boolean> {
    this.pings++;
    if (this.answersPing) return this.answersPing();
    this.pinging++;
    const { promise, reject } = Promise.withResolvers<boolean>();
    signal.addEventListener('abort', () => reject(new CodedError('ABORTED', 'aborted')));
    return promise.finally(() => this.pinging--);
  }
}

let clock: FakeClock;
let queue: WantQueue;
let logger: RecordingLogger;
let asked: number;

beforeEach(() => {
  clock = new FakeClock();
  logger = new RecordingLogger();
  asked = 0;
});
afterEach(async () => {
  await clock.advance(300_000);
  const { pending } = queue;
  await queue.close();
  // Also of what is asked now and then whether it answers again.
  expect({ pending, timers: clock.timers }).toEqual({ pending: 0, timers: 0 });
});

function build(...sources: readonly FaultSource[]): void {
  queue = new WantQueue({ sources, timeoutMs: 60_000, attemptTimeoutMs: ATTEMPT_MS, clock, random: () => 0.5, logger });
}

function source(script: Script = SILENT): FaultSource {
  return new FaultSource('a', clock, BLOCKS, script);
}

function pinged(script: Script = SILENT): PingedSource {
  return new PingedSource('a', clock, BLOCKS, script);
}

/** A reader of a block of its own. */
function ask(timeoutMs?: number, priority: Priority = 'demand'): void {
  const { cid } = BLOCKS[asked++ % BLOCKS.length] as (typeof BLOCKS)[0];
  queue.want(cid, { priority, timeoutMs }).catch(() => undefined);
}

/** Readers of that patience, one after the other, for so long. */
async function readFor(durationMs: number, patienceMs: number): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += patienceMs) {
    ask(patienceMs);
    await clock.advance(patienceMs);
  }
}

const state = () => queue.sources[0]?.state;

describe('a source that says nothing to anybody', () => {
  it.each([
    ['for as long as an attempt may take', 60_000],
    ['of whom nobody waits that long', 3000],
  ])('is shown as failing to readers %s, and good with the first answer', async (_who, patienceMs) => {
    const a = source(() => 'block');
    build(a);
    ask();
    await clock.advance(10);
    expect(state()).toBe('good');
    a.script = SILENT;
    await readFor(45_000, patienceMs);
    expect(queue.sources[0]).toMatchObject({ state: 'failing', lastError: 'no answer within 20 s' });
    expect(queue.sources[0]?.failingSeconds).toBeGreaterThanOrEqual(40);
    expect(queue.sources[0]?.errors).toBeGreaterThan(0);
    a.script = () => 'block';
    ask();
    await clock.advance(10);
    expect(queue.sources[0]).toMatchObject({ state: 'good', failingSeconds: null, lastError: 'no answer within 20 s' });
  });

  it('is shown so from the start, and no sooner than after that time', async () => {
    build(source());
    ask();
    await clock.advance(ATTEMPT_MS - 1);
    expect(state()).toBe('unknown');
    await clock.advance(1);
    expect(queue.sources[0]).toMatchObject({ state: 'failing', failingSeconds: 20 });
  });

  it('is no failing one while nobody asks it for anything', async () => {
    build(source());
    ask(15_000);
    await clock.advance(600_000);
    expect(state()).toBe('unknown');
    ask(4999);
    await clock.advance(4999);
    expect(state()).toBe('unknown');
    ask(10);
    await clock.advance(1);
    expect(state()).toBe('failing');
  });

  it('is asked as before: by each reader at once, and not by one probe at a time', async () => {
    const a = source();
    build(a);
    ask();
    await clock.advance(ATTEMPT_MS);
    expect(state()).toBe('failing');
    const before = a.calls.length;
    for (let index = 0; index < 30; index++) ask();
    await settle();
    expect(a.calls.length - before).toBe(30);
  });

  it('is well as long as it answers anybody: an absent block is searched for, others come', async () => {
    const absent = BLOCKS[0]?.cid;
    const a = source((_call, cid) => (cid === absent ? 'silent' : 'block'));
    build(a);
    ask();
    for (let second = 0; second < 60; second += 15) {
      ask();
      await clock.advance(15_000);
      expect(state()).toBe('good');
    }
  });

  it.each(['absent', 'error'] as const)('is not mute where it says %s', async (answer) => {
    build(source(() => ({ answer, delayMs: 12_000 })));
    ask();
    await clock.advance(24_000);
    expect(queue.sources[0]?.lastError ?? '').not.toMatch(/no answer/);
  });

  it('shows the silence of a range, too', async () => {
    const a = new FaultRangeSource('a', clock, BLOCKS, SILENT);
    a.delayMs = 100_000;
    a.range = BLOCKS.slice(0, 1);
    build(a);
    for (let index = 0; index < 6; index++) {
      const { cid } = BLOCKS[index] as (typeof BLOCKS)[0];
      void queue.wantRange(cid, { from: 0, to: 99 }, { priority: 'readahead' });
      await clock.advance(5000);
    }
    expect(state()).toBe('failing');
  });
});

describe('a source that can be asked whether it answers at all', () => {
  it('is well while it does, however long it searches for all that anybody wants', async () => {
    const a = pinged();
    a.answersPing = async () => true;
    build(a);
    ask();
    await clock.advance(59_000);
    expect([queue.sources[0]?.state, queue.sources[0]?.errors]).toEqual(['unknown', 0]);
    // One each fifteen seconds.
    expect(a.pings).toBe(3);
  });

  it('is failing where it is silent to that, and well again when it answers it, though nothing else comes', async () => {
    const a = pinged();
    build(a);
    ask(200_000);
    await clock.advance(ATTEMPT_MS - 1);
    expect([state(), a.pings]).toEqual(['unknown', 1]);
    await clock.advance(1);
    expect([state(), a.pinging]).toEqual(['failing', 0]);
    a.answersPing = async () => true;
    await clock.advance(ATTEMPT_MS);
    expect([state(), a.pings]).toEqual(['unknown', 2]);
  });

  it('is not asked while it answers others, nor once they came', async () => {
    const a = pinged(() => 'block');
    build(a);
    await readFor(60_000, 100);
    expect(a.pings).toBe(0);
    a.script = SILENT;
    ask();
    await clock.advance(16_000);
    expect(a.pinging).toBe(1);
    a.script = () => 'block';
    ask();
    await clock.advance(10);
    expect([a.pinging, state()]).toEqual([0, 'good']);
  });

  it('is found to answer again though nobody asks it for anything, by a question now and then', async () => {
    const a = pinged();
    build(a);
    ask(ATTEMPT_MS);
    await clock.advance(ATTEMPT_MS);
    expect([state(), a.pings, queue.pending]).toEqual(['failing', 1, 0]);
    await clock.advance(3_600_000);
    expect([state(), a.pinging]).toEqual(['failing', 0]);
    // Each five minutes in the end.
    expect(a.pings).toBeLessThanOrEqual(17);
    expect(a.pings).toBeGreaterThan(10);
    a.answersPing = async () => true;
    await clock.advance(310_000);
    expect(state()).toBe('unknown');
    expect(logger.said('info')).toEqual(['a source works again']);
    const { pings } = a;
    await clock.advance(3_600_000);
    expect(a.pings).toBe(pings);
  });

  it.each(['is refused', 'refuses'] as const)(
    'is asked so where it failed, also while whoever asks %s, and is well once it answers',
    async (how) => {
      const a = pinged(() => 'error');
      build(a);
      for (let reader = 0; reader < 4; reader++) ask(1000);
      await clock.advance(2000);
      expect([state(), queue.pending]).toEqual(['failing', 0]);
      a.answersPing = async () => {
        if (how === 'is refused') throw new CodedError('SOURCE_FAILED', 'a: connection refused');
        return false;
      };
      await clock.advance(3_600_000);
      expect(state()).toBe('failing');
      expect(a.pings).toBeGreaterThan(10);
      expect(a.pings).toBeLessThanOrEqual(17);
      a.answersPing = async () => true;
      await clock.advance(310_000);
      expect(state()).not.toBe('failing');
      expect(logger.said('info')).toEqual(['a source works again']);
      const { pings } = a;
      await clock.advance(3_600_000);
      expect(a.pings).toBe(pings);
    },
  );

  it('is not asked so while somebody asks it for something', async () => {
    const a = pinged();
    build(a);
    ask(ATTEMPT_MS);
    await clock.advance(ATTEMPT_MS);
    const { pings } = a;
    ask(60_000);
    await clock.advance(14_000);
    expect([state(), a.pings]).toEqual(['failing', pings]);
    // As any that says nothing: one each twenty seconds.
    await clock.advance(45_000);
    expect(a.pings - pings).toBeLessThanOrEqual(3);
  });

  it('is not taken for well because it refuses the connection by now', async () => {
    const a = pinged();
    build(a);
    ask(200_000);
    await clock.advance(ATTEMPT_MS);
    a.answersPing = async () => {
      throw new CodedError('SOURCE_FAILED', 'a: connection refused');
    };
    await clock.advance(ATTEMPT_MS);
    expect(queue.sources[0]).toMatchObject({ state: 'failing', lastError: 'a: connection refused' });
  });
});

describe('the log', () => {
  const said = () => logger.lines.map(({ level, message, fields }) => ({ level, message, ...fields }));

  it('says once that a source is failing and why, and once that it works again and after how long', async () => {
    const a = source();
    build(a);
    await readFor(60_000, 3000);
    const warning = { level: 'warn', message: 'a source is failing', source: 'a', error: 'no answer within 20 s' };
    expect(said()).toEqual([warning]);
    a.script = () => 'block';
    ask();
    await clock.advance(10);
    expect(said().slice(1)).toEqual([
      { level: 'info', message: 'a source works again', source: 'a', failedForSeconds: 60 },
    ]);
  });

  it('says of one that comes and goes how often it failed, twice a minute at the most', async () => {
    let down = false;
    build(source(() => (down ? 'error' : 'block')));
    for (let second = 0; second < 60; second++) {
      down = second % 2 === 0;
      for (let index = 0; index < 10; index++) {
        ask(50);
        await clock.advance(100);
      }
    }
    const warnings = said().filter(({ level }) => level === 'warn');
    expect(warnings.length).toBe(2);
    expect(warnings[1]).toMatchObject({ error: 'a: connection refused', outages: expect.any(Number) });
    expect((warnings[1] as { outages?: number }).outages).toBeGreaterThan(5);
  });

  it('says nothing of an optional source that was never seen', async () => {
    const a = source(() => 'error');
    a.optional = true;
    build(a);
    for (let index = 0; index < 10; index++) {
      ask(100);
      await clock.advance(1000);
    }
    expect([state(), said()]).toEqual(['failing', []]);
  });
});
