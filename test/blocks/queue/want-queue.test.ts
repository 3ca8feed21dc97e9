import type { CID } from 'multiformats/cid';
import { afterEach, describe, expect, it } from 'vitest';
import { CodedError, codeOf } from '../../../src/base/errors.ts';
import type { Priority } from '../../../src/blocks/priority.ts';
import { WantQueue } from '../../../src/blocks/queue/want-queue.ts';
import type { WantQueueOptions } from '../../../src/blocks/queue/want-queue-options.ts';
import { WAIT_BOUNDS_MS } from '../../../src/blocks/queue/want-stats.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { FaultRangeSource, FaultSource, type Script } from '../../support/fault-source.ts';
import { makeBlock, makeBlocks } from '../../support/make-block.ts';

const BLOCKS = makeBlocks(600);
const TIMEOUT_MS = 60_000;

let clock = new FakeClock();
let queue: WantQueue;

function source(name: string, script?: Script): FaultSource {
  return new FaultSource(name, clock, BLOCKS, script);
}

function build(sources: WantQueueOptions['sources'], options: Partial<WantQueueOptions> = {}): WantQueue {
  queue = new WantQueue({ sources, timeoutMs: TIMEOUT_MS, clock, random: () => 0.5, ...options });
  return queue;
}

function cidAt(index: number): CID {
  return (BLOCKS[index] as (typeof BLOCKS)[number]).cid;
}

/** What a caller got: the source's name, or the error's code. */
interface Seen {
  result: string | undefined;
  error: CodedError | undefined;
}

function ask(
  cid: CID,
  priority: Priority = 'demand',
  options: { signal?: AbortSignal; timeoutMs?: number; awaited?: boolean } = {},
): Seen {
  const seen: Seen = { result: undefined, error: undefined };
  queue.want(cid, { priority, ...options }).then(
    ({ origin }) => {
      seen.result = origin;
    },
    (error: unknown) => {
      seen.result = codeOf(error);
      if (error instanceof CodedError) seen.error = error;
    },
  );
  return seen;
}

it('gives a block that came by another way to all who wait for it, and ends the requests', async () => {
  const silent = source('silent', () => 'silent');
  build([silent]);
  const [first, second, other] = [ask(cidAt(0)), ask(cidAt(0), 'background'), ask(cidAt(1))];
  await settle();
  queue.offer(cidAt(0), (BLOCKS[0] as (typeof BLOCKS)[number]).bytes, 'local store');
  queue.offer(cidAt(2), (BLOCKS[2] as (typeof BLOCKS)[number]).bytes, 'local store');
  await settle();
  expect([first.result, second.result, other.result]).toEqual(['local store', 'local store', undefined]);
  expect(queue.pending).toBe(1);
});

afterEach(async () => {
  // Whatever a test did: once all is answered nothing is left.
  await clock.advance(2 * TIMEOUT_MS);
  expect({ pending: queue.pending, timers: clock.timers }).toEqual({ pending: 0, timers: 0 });
  await queue.close();
  clock = new FakeClock();
});

describe('one want per block', () => {
  it('asks once for callers of any priority, and answers all', async () => {
    const a = source('a', () => ({ answer: 'block', delayMs: 50 }));
    build([a]);
    const seen = (['background', 'demand', 'metadata', 'demand'] as const).map((priority) => ask(cidAt(0), priority));
    await clock.advance(50);
    expect(seen.map(({ result }) => result)).toEqual(['a', 'a', 'a', 'a']);
    expect(a.calls).toHaveLength(1);
  });

  it('counts waits and blocks by priority', async () => {
    build([source('a', () => ({ answer: 'block', delayMs: 50 }))]);
    ask(cidAt(0), 'background');
    ask(cidAt(0), 'demand');
    await clock.advance(50);
    const { demand, background } = queue.stats;
    expect(demand).toMatchObject({ wants: 1, blocks: 1, bytes: 8, failures: 0, waitSumMs: 50 });
    expect(demand.waitBuckets[WAIT_BOUNDS_MS.indexOf(50)]).toBe(1);
    expect(background).toMatchObject({ wants: 1, blocks: 0, waitSumMs: 50 });
  });
});

describe('priority', () => {
  it('sends a reader at once past a full window, and the rest by urgency', async () => {
    const a = source('a', () => ({ answer: 'block', delayMs: 50 }));
    build([a]);
    for (let index = 200; index < 300; index++) ask(cidAt(index), 'profile');
    for (let index = 300; index < 332; index++) ask(cidAt(index), 'readahead');
    for (let index = 0; index < 100; index++) ask(cidAt(index), 'background');
    await settle();
    const flooded = a.calls.length;
    // Of blocks that may be of 256 KiB each.
    expect(flooded).toBe(8);
    ask(cidAt(101), 'metadata');
    ask(cidAt(102), 'readahead');
    ask(cidAt(103), 'demand');
    await clock.advance(5000);
    const order = a.calls.map(({ priority }) => priority);
    expect(order[flooded]).toBe('demand');
    order.splice(flooded, 1);
    // The first eight were let out before the more urgent ones were asked for.
    const rest = order.slice(8);
    const counts = { readahead: 33, metadata: 1, profile: 92, background: 100 } as const;
    expect(rest).toEqual(
      (['readahead', 'metadata', 'profile', 'background'] as const).flatMap((priority) =>
        new Array<Priority>(counts[priority]).fill(priority),
      ),
    );
  });

  it.each([
    { bytes: 3000, expected: 256 },
    { bytes: 64 * 1024, expected: 32 },
    { bytes: 1024 * 1024, expected: 2 },
    { bytes: undefined, expected: 8 },
  ])('sends $expected blocks of $bytes bytes at once while the path is not known', async ({ bytes, expected }) => {
    const a = source('a', () => ({ answer: 'block', delayMs: 50 }));
    build([a]);
    for (let index = 0; index < 400; index++) {
      void queue.want(cidAt(index), { priority: 'profile', expectedBytes: bytes }).catch(() => {});
    }
    await settle();
    expect(a.calls).toHaveLength(expected);
    // Whoever waits stands behind none of them, and the background takes no part in it.
    ask(cidAt(401));
    for (let index = 402; index < 420; index++) ask(cidAt(index), 'background');
    await settle();
    expect(a.calls).toHaveLength(expected + 1);
    await clock.advance(5000);
  });

  it('lifts a waiting want, and lowers it again when the reader leaves', async () => {
    const a = source('a', () => ({ answer: 'block', delayMs: 50 }));
    build([a]);
    for (let index = 200; index < 216; index++) ask(cidAt(index), 'readahead');
    for (let index = 0; index < 100; index++) ask(cidAt(index), 'background');
    await settle();
    const reader = new AbortController();
    ask(cidAt(98), 'readahead', { signal: reader.signal });
    ask(cidAt(99), 'demand');
    await settle();
    expect(a.calls.at(-1)).toMatchObject({ cid: cidAt(99), priority: 'demand' });
    reader.abort();
    await clock.advance(5000);
    const place = a.calls.findIndex(({ cid }) => cid === cidAt(98));
    // Lowered it stands behind those that waited before it.
    expect(place).toBe(115);
    expect(a.calls).toHaveLength(116);
  });

  it('bounds profile and background together by the rate, and nothing else', async () => {
    const blocks = makeBlocks(300, 10_000);
    const a = new FaultSource('a', clock, blocks);
    build([a], { prefetchBytesPerSecond: 100_000 });
    blocks.slice(0, 200).forEach(({ cid }, index) => {
      ask(cid, index % 2 ? 'profile' : 'background');
    });
    await clock.advance(10_000);
    // One second's worth at once, then ten seconds' at the rate, and what is charged before its size is known.
    expect(a.calls.length).toBeGreaterThan(80);
    expect(a.calls.length).toBeLessThanOrEqual(112);
    const before = a.calls.length;
    for (const { cid } of blocks.slice(200)) ask(cid, 'demand');
    await settle();
    expect(a.calls.length).toBe(before + 100);
  });

  it('charges nothing for what was cancelled', async () => {
    const blocks = makeBlocks(200, 10_000);
    const a = new FaultSource('a', clock, blocks, () => 'silent');
    build([a], { prefetchBytesPerSecond: 1_000_000 });
    const leaving = new AbortController();
    for (const { cid } of blocks.slice(0, 100)) ask(cid, 'background', { signal: leaving.signal });
    await settle();
    leaving.abort();
    a.script = () => 'block';
    for (const { cid } of blocks.slice(100)) ask(cid, 'background');
    await clock.advance(900);
    // As before: a second's worth of blocks at once, each charged 256 KiB until its size is known.
    expect(a.calls.filter(({ atMs }) => atMs < clock.nowMs() - 800).length).toBeGreaterThan(50);
  });

  it('starts at once what waits for the rate at one source, when another request gives some back', async () => {
    const a = source('a', (_call, cid) => (cid === cidAt(0) ? 'absent' : 'block'));
    build([a, source('b', () => 'silent')], { prefetchBytesPerSecond: 80 });
    const leaving = new AbortController();
    ask(cidAt(0), 'background', { signal: leaving.signal });
    await clock.advance(10);
    // Charged 256 KiB until it is known what it brings: an hour of the rate.
    const held = ask(cidAt(1), 'background');
    await clock.advance(1000);
    expect(held.result).toBeUndefined();
    leaving.abort();
    await clock.advance(10);
    expect(held.result).toBe('a');
  });

  it('does not time out what is merely held back', async () => {
    build([source('a')], { prefetchBytesPerSecond: 8 });
    const seen = Array.from({ length: 200 }, (_, index) => ask(cidAt(index), 'background'));
    await clock.advance(6 * TIMEOUT_MS);
    const results = new Set(seen.map(({ result }) => result));
    expect(results).toEqual(new Set(['a']));
  });
});

describe('leaving', () => {
  it('cancels the request when the last caller leaves, not before', async () => {
    const a = source('a', () => 'silent');
    build([a]);
    const [first, second] = [new AbortController(), new AbortController()];
    const seen = [
      ask(cidAt(0), 'demand', { signal: first.signal }),
      ask(cidAt(0), 'background', { signal: second.signal }),
    ];
    await settle();
    first.abort();
    await settle();
    expect([seen[0]?.result, seen[1]?.result, a.inFlight]).toEqual(['ABORTED', undefined, 1]);
    second.abort();
    await settle();
    expect([seen[1]?.result, a.inFlight, queue.pending]).toEqual(['ABORTED', 0, 0]);
  });

  it('sends none of those who leave together, as one makes room for the next', async () => {
    const a = source('a', () => 'silent');
    build([a]);
    const leaving = new AbortController();
    for (let index = 0; index < 200; index++) ask(cidAt(index), 'background', { signal: leaving.signal });
    await settle();
    const sent = a.calls.length;
    leaving.abort();
    await settle();
    expect([a.calls.length, a.inFlight, queue.pending]).toEqual([sent, 0, 0]);
    // Somebody else's find the room at once.
    a.script = () => 'block';
    const other = ask(cidAt(300), 'background');
    await clock.advance(100);
    expect(other.result).toBe('a');
  });

  it('refuses a caller that left before it came, and everyone after close', async () => {
    const a = source('a', () => 'silent');
    build([a]);
    expect(
      codeOf(await queue.want(cidAt(0), { priority: 'demand', signal: AbortSignal.abort() }).catch((e) => e)),
    ).toBe('ABORTED');
    const waiting = ask(cidAt(1));
    await queue.close();
    await settle();
    expect([waiting.result, a.inFlight, a.closed, a.calls.length]).toEqual(['ABORTED', 0, true, 1]);
    expect(codeOf(await queue.want(cidAt(0), { priority: 'demand' }).catch((e) => e))).toBe('ABORTED');
  });
});

describe('sources that do badly', () => {
  it.each(['absent', 'error', 'corrupt', 'truncated', 'oversized'] as const)(
    'goes on to the next after %s',
    async (fault) => {
      const [a, b] = [source('a', () => fault), source('b')];
      build([a, b]);
      const seen = ask(cidAt(0));
      await clock.advance(10);
      expect([seen.result, a.calls.length, b.calls.length]).toEqual(['b', 1, 1]);
    },
  );

  it('fails as soon as every source has said that it has no such block', async () => {
    build([source('a', () => 'absent'), source('b', () => 'absent')]);
    const seen = ask(cidAt(0));
    await clock.advance(10);
    expect(seen.result).toBe('BLOCK_UNAVAILABLE');
    expect(seen.error?.message).toBe(`no source has block ${cidAt(0)} (a: not found; b: not found)`);
  });

  it('says corrupt, not absent, where the only other word was a lie', async () => {
    build([source('a', () => 'absent'), source('b', () => 'corrupt')]);
    const seen = ask(cidAt(0));
    await clock.advance(10);
    expect(seen.result).toBe('BLOCK_CORRUPT');
    expect(seen.error?.message).toContain(`${cidAt(0)}`);
  });

  it('says too large where that is what came', async () => {
    build([source('a', () => 'oversized')]);
    const seen = ask(cidAt(0));
    await clock.advance(10);
    expect(seen.result).toBe('BLOCK_TOO_LARGE');
  });

  it('times out while a source is silent, and names what each said', async () => {
    build([source('a', () => 'silent'), source('b', () => 'absent')]);
    const seen = ask(cidAt(0), 'demand', { timeoutMs: 15_000 });
    await clock.advance(14_999);
    expect(seen.result).toBeUndefined();
    await clock.advance(1);
    expect(seen.result).toBe('BLOCK_TIMEOUT');
    expect(seen.error?.message).toBe(`block ${cidAt(0)} did not come within 15 s (a: no answer yet; b: not found)`);
  });

  it('says all of the time that the caller had, not what was left of it', async () => {
    build([source('a', () => 'silent')]);
    const seen: Promise<unknown> = queue
      .want(cidAt(0), { priority: 'demand', timeoutMs: 1, limitMs: 10_000 })
      .catch((error: unknown) => error);
    await clock.advance(1);
    expect(String(await seen)).toContain(`did not come within 10 s (a: no answer yet)`);
  });

  it('does not wait for an optional source that was never seen, takes it when it comes up, and waits for it from then on', async () => {
    const optional = source('a', () => 'error');
    optional.optional = true;
    const other = source('b', () => 'absent');
    build([optional, other]);
    for (let index = 0; index < 50; index++) {
      const seen = ask(cidAt(index));
      await clock.advance(10);
      expect(seen.result).toBe('BLOCK_UNAVAILABLE');
      expect(seen.error?.message).toMatch(/no source has block .*a: connection refused.*b: not found/);
    }
    // Half a second of readers: the three that tell, and a probe now and then at most.
    expect(optional.calls.length).toBeLessThan(6);
    optional.script = () => 'block';
    await clock.advance(60_000);
    const found = ask(cidAt(60));
    await clock.advance(10);
    expect(found.result).toBe('a');
    optional.script = () => 'error';
    const missed = ask(cidAt(61), 'demand', { timeoutMs: 15_000 });
    await clock.advance(14_999);
    expect(missed.result).toBeUndefined();
    await clock.advance(1);
    expect(missed.result).toBe('BLOCK_TIMEOUT');
  });

  it('waits for an optional source while another one fails, and finds it as soon as it comes up', async () => {
    const optional = source('a', () => 'error');
    optional.optional = true;
    build([optional, source('b', () => 'error')]);
    const early = Array.from({ length: 5 }, (_, index) => ask(cidAt(index)));
    await clock.advance(5000);
    expect(early.every(({ result }) => result === undefined)).toBe(true);
    optional.script = () => 'block';
    const seen = ask(cidAt(10));
    await clock.advance(5000);
    expect(seen.result).toBe('a');
  });

  it('gives each caller its own time-out', async () => {
    build([source('a', () => 'silent')]);
    const short = ask(cidAt(0), 'demand', { timeoutMs: 1000 });
    const long = ask(cidAt(0), 'demand', { timeoutMs: 3000 });
    await clock.advance(1000);
    expect([short.result, long.result]).toEqual(['BLOCK_TIMEOUT', undefined]);
    await clock.advance(2000);
    expect(long.result).toBe('BLOCK_TIMEOUT');
  });

  it('says what to configure where there is no source', async () => {
    build([]);
    const seen = ask(cidAt(0));
    await settle();
    expect(seen.result).toBe('BLOCK_UNAVAILABLE');
    expect(seen.error?.message).toContain('IPFS_VOLUME_KUBO_RPC');
  });

  it('asks a liar last from then on, and prefers it to nothing', async () => {
    const [liar, b] = [source('liar', (call) => (call === 1 ? 'corrupt' : 'block')), source('b')];
    build([liar, b]);
    const seen = Array.from({ length: 20 }, (_, index) => ask(cidAt(index)));
    await clock.advance(10);
    const asked = liar.calls.length;
    for (let index = 20; index < 40; index++) seen.push(ask(cidAt(index)));
    await clock.advance(10);
    expect(liar.calls).toHaveLength(asked);
    expect(queue.sources[0]).toMatchObject({ name: 'liar', state: 'failing', errors: 1 });
    b.script = () => 'absent';
    const rescued = ask(cidAt(50));
    await clock.advance(10);
    expect(rescued.result).toBe('liar');
  });

  it('shows the lie for which a source is not trusted, and not an error that is over', async () => {
    const answers = ['corrupt', 'error', 'block'] as const;
    const a = source('a', (call) => answers[call - 1] ?? 'block');
    build([a]);
    for (let index = 0; index < 3; index++) {
      ask(cidAt(index));
      await clock.advance(10);
    }
    const [shown] = queue.sources;
    expect(shown).toMatchObject({ state: 'failing', lastError: expect.stringContaining('do not match it') });
    await clock.advance(61_000);
    expect(queue.sources[0]).toMatchObject({
      state: 'good',
      lastError: expect.not.stringContaining('do not match it'),
    });
  });

  it('keeps a block that one source lies about apart from the others it has', async () => {
    const bad = cidAt(3);
    const a = source('a', (_call, cid) => (cid === bad ? 'corrupt' : 'block'));
    build([a]);
    const seen = Array.from({ length: 10 }, (_, index) => ask(cidAt(index)));
    await clock.advance(100);
    expect(seen.map(({ result }) => result)).toEqual(seen.map((_, index) => (index === 3 ? 'BLOCK_CORRUPT' : 'a')));
    expect(a.calls).toHaveLength(10);
  });

  it('works again as soon as the source does, without a storm meanwhile', async () => {
    const a = source('a', () => 'error');
    build([a]);
    const seen = Array.from({ length: 64 }, (_, index) => ask(cidAt(index), index % 2 ? 'demand' : 'background'));
    await clock.advance(30_000);
    // All that was sent before it was known to fail, then probes: 100 ms, doubling to 2 s, each at least half of it.
    const sentBlindly = 64;
    expect(a.calls.length).toBeLessThan(sentBlindly + 40);
    const probes = a.calls.filter(({ atMs }) => atMs > clock.nowMs() - 20_000);
    expect(probes.length).toBeLessThanOrEqual(20);
    expect(probes.length).toBeGreaterThanOrEqual(9);
    expect(queue.sources[0]).toMatchObject({ state: 'failing', lastError: 'a: connection refused' });
    a.script = () => 'block';
    await clock.advance(10_000);
    expect(new Set(seen.map(({ result }) => result))).toEqual(new Set(['a']));
    expect(queue.sources[0]?.state).toBe('good');
  });

  it('goes on with what the prefetch rate held back while the source failed', async () => {
    const a = source('a', (call) => (call >= 2 && call <= 4 ? 'error' : 'block'));
    build([a], { prefetchBytesPerSecond: 1 });
    // Eight bytes, and eight seconds until the next may start.
    ask(cidAt(0), 'background');
    await clock.advance(10);
    const held = ask(cidAt(1), 'background');
    for (let index = 2; index < 5; index++) ask(cidAt(index), 'demand', { timeoutMs: 50 });
    await clock.advance(100);
    expect(queue.sources[0]?.state).toBe('failing');
    await clock.advance(10_000);
    expect(held.result).toBe('a');
  });

  it('does not let newcomers add to the probes of a failing source', async () => {
    const a = source('a', () => 'error');
    build([a]);
    ask(cidAt(0));
    await clock.advance(10_000);
    const before = a.calls.length;
    for (let index = 1; index < 200; index++) ask(cidAt(index));
    await clock.advance(10_000);
    expect(a.calls.length - before).toBeLessThanOrEqual(10);
  });

  it('brings what a source failed as soon as it works again, though another is down all the while', async () => {
    let isUp = true;
    const a = source('a', (_call, cid) =>
      !isUp ? 'error' : BLOCKS.slice(0, 3).some((b) => b.cid === cid) ? 'absent' : 'block',
    );
    build([a, source('b', () => 'error')]);
    // Three that the first does not have tell that the second is down.
    for (let index = 0; index < 3; index++) ask(cidAt(index), 'demand', { timeoutMs: 100 });
    await clock.advance(100);
    isUp = false;
    const seen = Array.from({ length: 60 }, (_, index) => ask(cidAt(10 + index), index % 2 ? 'demand' : 'background'));
    await clock.advance(1000);
    isUp = true;
    await clock.advance(6000);
    expect(new Set(seen.map(({ result }) => result))).toEqual(new Set(['a']));
  });

  it.each([
    { what: 'a probe', failures: 3, rate: undefined, priority: 'demand' },
    { what: 'the rate', failures: 0, rate: 100, priority: 'background' },
  ] as const)('comes back for what $what held back, also where its time comes between two looks', async (each) => {
    for (let step = 1; step <= 50; step++) {
      const a = source('a', (call) => (call <= each.failures ? 'error' : 'block'));
      // Timers are early by up to a millisecond, as Node's are, and time goes on while it is looked at.
      let looks = 0;
      const going = {
        nowMs: () => clock.nowMs() + (looks++ * step) / 50,
        schedule: (delayMs: number, run: () => void) => clock.schedule(Math.max(0, delayMs - 0.9), run),
      };
      build([a], { clock: going, prefetchBytesPerSecond: each.rate });
      for (let index = 0; index < each.failures; index++) ask(cidAt(index), 'demand', { timeoutMs: 5 });
      await clock.advance(10);
      const seen = Array.from({ length: each.rate ? 30 : 1 }, (_, index) => ask(cidAt(10 + index), each.priority));
      await clock.advance(10_000);
      expect(new Set(seen.map(({ result }) => result))).toEqual(new Set(['a']));
      await queue.close();
    }
  });

  it('stops asking a source once in a while when it flaps, and gets everything', async () => {
    const a = source('a', (call) => (Math.floor(call / 7) % 2 ? 'error' : 'block'));
    build([a]);
    const seen = Array.from({ length: 100 }, (_, index) => ask(cidAt(index), index % 3 ? 'background' : 'demand'));
    await clock.advance(TIMEOUT_MS - 1);
    expect(new Set(seen.map(({ result }) => result))).toEqual(new Set(['a']));
    expect(a.calls.length).toBeLessThan(300);
  });

  it('spaces the tries of one block that a source fails while it serves the others', async () => {
    const bad = cidAt(0);
    const a = source('a', (_call, cid) => (cid === bad ? 'error' : 'block'));
    build([a]);
    const seen = ask(bad);
    for (let index = 1; index < 500; index++) {
      ask(cidAt(index));
      await clock.advance(100);
    }
    await clock.advance(11_000);
    expect(seen.result).toBe('BLOCK_TIMEOUT');
    expect(seen.error?.message).toMatch(/connection refused \(\d+ times\)/);
    // 100 ms, doubling to 5 s, each three quarters of it with this jitter: 6 in the first 5 s, then one in 3.75 s.
    expect(a.calls.filter(({ cid }) => cid === bad).length).toBeLessThan(24);
    expect(a.calls.filter(({ cid }) => cid === bad).length).toBeGreaterThan(12);
  });

  it('moves what waits to the next source when one begins to fail', async () => {
    let down = false;
    const a = source('a', () => (down ? 'error' : { answer: 'block', delayMs: 50 }));
    const b = source('b');
    build([a, b]);
    const seen = Array.from({ length: 300 }, (_, index) => ask(cidAt(index), 'background'));
    await clock.advance(60);
    down = true;
    await clock.advance(2000);
    expect(new Set(seen.map(({ result }) => result))).toEqual(new Set(['a', 'b']));
  });

  it.each(['error', 'silent'] as const)(
    'returns to the first source after %s, though the second serves',
    async (fault) => {
      const [a, b] = [source('a', () => fault), source('b')];
      build([a, b]);
      const seen: Seen[] = [];
      for (let index = 0; index < 300; index++) {
        if (index === 150) a.script = () => 'block';
        seen.push(ask(cidAt(index)));
        await clock.advance(500);
      }
      await clock.advance(10_000);
      expect(new Set(seen.slice(0, 150).map(({ result }) => result))).toEqual(new Set(['b']));
      expect(seen.at(-1)?.result).toBe('a');
      // In the 75 s of its outage: the first few, and a revisit every 7.5 s, four while it is not yet known to be silent.
      const outage = BLOCKS.slice(0, 150);
      expect(a.calls.filter(({ cid }) => outage.some((block) => block.cid === cid)).length).toBeLessThan(45);
    },
  );

  it('gives up one silent request after its own time-out, and asks again', async () => {
    const a = source('a', (call) => (call === 1 ? 'silent' : 'block'));
    build([a], { attemptTimeoutMs: 5000 });
    const seen = ask(cidAt(0));
    await clock.advance(4999);
    expect(a.calls).toHaveLength(1);
    await clock.advance(1000);
    expect([seen.result, a.calls.length]).toEqual(['a', 2]);
  });

  it('is not kept from other blocks by silent ones', async () => {
    // A Kubo node that searches for absent blocks: silent and well.
    const a = source('a', (_call, cid) =>
      BLOCKS.slice(0, 16).some((block) => block.cid === cid) ? 'silent' : 'block',
    );
    build([a]);
    for (let index = 0; index < 16; index++) ask(cidAt(index), 'background');
    await clock.advance(5000);
    const seen = [ask(cidAt(100), 'demand'), ask(cidAt(101), 'readahead'), ask(cidAt(102), 'background')];
    await clock.advance(10);
    expect(seen.map(({ result }) => result)).toEqual(['a', 'a', 'a']);
    expect(queue.sources[0]?.state).toBe('good');
  });
});

describe('hedging', () => {
  it('sends a reader to the next source when the first is slower than its usual, and ends the slower request', async () => {
    const a = source('a', (call) => (call <= 20 ? { answer: 'block', delayMs: 20 } : 'silent'));
    const b = source('b');
    build([a, b]);
    for (let index = 0; index < 20; index++) {
      ask(cidAt(index));
      await clock.advance(20);
    }
    const seen = ask(cidAt(30));
    await clock.advance(90);
    expect(b.calls).toHaveLength(0);
    await clock.advance(20);
    expect([seen.result, a.inFlight, b.calls.length]).toEqual(['b', 0, 1]);
  });

  it('sends what a listing waits for to the next source as well, as far as that has room, and no other metadata', async () => {
    const [a, b] = [source('a', () => 'silent'), source('b', () => ({ answer: 'block', delayMs: 50 }))];
    build([a, b]);
    const other = ask(cidAt(100), 'metadata');
    const awaited = Array.from({ length: 20 }, (_, index) => ask(cidAt(index), 'metadata', { awaited: true }));
    await clock.advance(10_000);
    expect(awaited.map(({ result }) => result)).toEqual(new Array(20).fill('b'));
    expect(b.calls.every(({ priority }) => priority === 'metadata')).toBe(true);
    // As many at once as have room, before anything is known of the path, hedges or not.
    expect(b.maxInFlight).toBeLessThan(20);
    expect([b.calls.length, other.result]).toEqual([20, undefined]);
    // One that joins makes it awaited.
    const joined = ask(cidAt(100), 'metadata', { awaited: true });
    await clock.advance(100);
    expect([joined.result, other.result]).toEqual(['b', 'b']);
  });

  it('does not hedge background, until a reader comes', async () => {
    const [a, b] = [source('a', () => 'silent'), source('b')];
    build([a, b]);
    const background = ask(cidAt(0), 'background');
    await clock.advance(10_000);
    expect([background.result, b.calls.length]).toEqual([undefined, 0]);
    const reader = ask(cidAt(0), 'demand');
    await clock.advance(10);
    expect([background.result, reader.result, a.calls.length, b.calls.length]).toEqual(['b', 'b', 1, 1]);
  });

  it.each([
    { what: 'fails once', isDown: false },
    { what: 'is down', isDown: true },
  ])('goes to one that $what, long before the slow one is given up', async ({ isDown }) => {
    let fails = isDown ? Number.POSITIVE_INFINITY : 1;
    const a = source('a', (_call, cid) => (BLOCKS.slice(100).some((b) => b.cid === cid) ? 'absent' : 'silent'));
    const b = source('b', () => (fails-- > 0 ? 'error' : 'block'));
    build([a, b]);
    // Whether it is down is known before.
    if (isDown) for (let index = 100; index < 103; index++) ask(cidAt(index), 'demand', { timeoutMs: 100 });
    await clock.advance(1000);
    const seen = ask(cidAt(0));
    await clock.advance(2000);
    expect(seen.result).toBeUndefined();
    fails = Math.min(fails, 1);
    await clock.advance(5000);
    expect([seen.result, a.inFlight]).toEqual(['b', 0]);
  });

  it('gives each of several silent ones its turn again', async () => {
    let isBack = false;
    const c = source('c', () => (isBack ? 'block' : 'silent'));
    build([source('a', () => 'silent'), source('b', () => 'silent'), c], { attemptTimeoutMs: 5000 });
    const seen = ask(cidAt(0));
    await clock.advance(12_000);
    isBack = true;
    await clock.advance(20_000);
    expect(seen.result).toBe('c');
  });

  it('asks no source on and on that does not give it, while another is slow', async () => {
    const b = source('b', (_call, cid) => (cid === cidAt(0) ? 'error' : 'block'));
    build([source('a', () => 'silent'), b]);
    ask(cidAt(0), 'demand', { timeoutMs: 19_000 });
    for (let index = 1; index < 100; index++) {
      ask(cidAt(index));
      await clock.advance(190);
    }
    expect(b.calls.filter(({ cid }) => cid === cidAt(0))).toHaveLength(3);
  });

  it('asks a source that is silent again and again after the others', async () => {
    const [a, b] = [source('a', () => 'silent'), source('b')];
    build([a, b]);
    for (let index = 0; index < 3; index++) {
      ask(cidAt(index));
      await clock.advance(5000);
    }
    const seen = ask(cidAt(10));
    await clock.advance(1);
    expect([seen.result, a.calls.length]).toEqual(['b', 3]);
  });
});

describe('ranges', () => {
  const RANGE = BLOCKS.slice(0, 5);

  function ranged(): FaultRangeSource {
    const a = new FaultRangeSource('a', clock, BLOCKS);
    a.range = RANGE;
    return a;
  }

  function askRange(from: number, to: number, signal?: AbortSignal): { count: number | undefined } {
    const seen: { count: number | undefined } = { count: undefined };
    queue.wantRange(cidAt(0), { from, to }, { priority: 'readahead', signal }).then((count) => {
      seen.count = count;
    });
    return seen;
  }

  it('delivers each block once to the sink and to whoever wants it', async () => {
    const a = ranged();
    const sunk: CID[] = [];
    build([a], { onVerified: (cid) => sunk.push(cid) });
    a.script = () => 'silent';
    const waiting = ask(cidAt(3));
    const seen = askRange(0, 99);
    await clock.advance(10);
    expect([seen.count, waiting.result, a.inFlight]).toEqual([5, 'a', 0]);
    expect(sunk).toEqual(RANGE.map(({ cid }) => cid));
  });

  it('brings a block as urgently as the most urgent one waits who wants it', async () => {
    const a = ranged();
    const sunk: string[] = [];
    build([a], { onVerified: (_cid, _bytes, priority) => sunk.push(priority) });
    a.script = () => 'silent';
    ask(cidAt(3), 'demand');
    askRange(0, 99);
    await clock.advance(10);
    expect(sunk).toEqual(['readahead', 'readahead', 'readahead', 'demand', 'readahead']);
    expect([queue.stats.demand.blocks, queue.stats.readahead.blocks]).toEqual([1, 4]);
  });

  it('is one request for callers of the same range, cancelled with the last', async () => {
    const a = ranged();
    a.delayMs = 100;
    build([a]);
    const [first, second] = [new AbortController(), new AbortController()];
    const seen = [askRange(0, 99, first.signal), askRange(0, 99, second.signal), askRange(1, 99)];
    await clock.advance(250);
    expect(a.ranges).toBe(2);
    first.abort();
    await settle();
    expect([seen[0]?.count, seen[1]?.count]).toEqual([2, undefined]);
    second.abort();
    await clock.advance(1000);
    expect([seen[1]?.count, seen[2]?.count]).toEqual([2, 5]);
  });

  it('stops at a block that does not match, and distrusts its source', async () => {
    const a = ranged();
    const liar = { cid: cidAt(2), bytes: new Uint8Array(8) };
    a.range = [...RANGE.slice(0, 2), liar, ...RANGE.slice(3)];
    const sunk: CID[] = [];
    build([a], { onVerified: (cid) => sunk.push(cid) });
    const seen = askRange(0, 99);
    await clock.advance(10);
    expect([seen.count, sunk.length, queue.sources[0]?.state]).toEqual([2, 2, 'failing']);
    const next = askRange(5, 99);
    await settle();
    expect([next.count, a.ranges]).toEqual([0, 1]);
  });

  it('lets a range go whose first block does not come, long before a reader’s time is up', async () => {
    const a = ranged();
    a.delayMs = 4000;
    build([a]);
    const slow = askRange(0, 99);
    await clock.advance(25_000);
    expect(slow.count).toBe(5);
    a.delayMs = 15_000;
    const silent = askRange(0, 99);
    await clock.advance(5000);
    expect(silent.count).toBe(0);
    await clock.advance(15_000);
  });

  it('asks no dearer source for a range while a cheaper one that sends none is well', async () => {
    const a = source('a');
    const b = new FaultRangeSource('b', clock, BLOCKS);
    b.range = RANGE;
    build([a, b]);
    expect(await queue.wantRange(cidAt(0), { from: 0, to: 99 }, { priority: 'demand' })).toBe(0);
    expect(b.ranges).toBe(0);
    a.script = () => 'error';
    for (let index = 1; index < 4; index++) ask(cidAt(index));
    await clock.advance(10);
    const range = queue.wantRange(cidAt(0), { from: 0, to: 99 }, { priority: 'demand' });
    await clock.advance(1000);
    expect(await range).toBe(RANGE.length);
    expect(b.ranges).toBe(1);
  });

  it('takes no more bytes than a range can hold', async () => {
    const a = ranged();
    a.range = Array.from({ length: 30 }, (_, index) => makeBlock(new Uint8Array(1024 * 1024).fill(index)));
    build([a]);
    const seen = askRange(0, 99);
    await clock.advance(100);
    expect(seen.count).toBe(8);
  });

  it('takes no more bytes than a tree claims, and a block', async () => {
    const a = ranged();
    a.range = Array.from({ length: 30 }, (_, index) => makeBlock(new Uint8Array(1024 * 1024).fill(index)));
    build([a]);
    const tree = queue.wantRange(cidAt(0), { treeBytes: 1024 * 1024 }, { priority: 'readahead' });
    await clock.advance(100);
    expect(await tree).toBe(3);
  });

  it('is one request for a tree, whoever asks, and not the one for a range', async () => {
    const a = ranged();
    build([a]);
    const wants = [1, 1].map((bytes) => queue.wantRange(cidAt(0), { treeBytes: bytes }, { priority: 'readahead' }));
    const seen = askRange(0, 0);
    await clock.advance(10);
    expect([...(await Promise.all(wants)), seen.count, a.ranges]).toEqual([5, 5, 5, 2]);
  });

  it('lets a range go whose source begins to fail while it waits', async () => {
    const a = ranged();
    a.script = () => ({ answer: 'error', delayMs: 30 });
    build([a]);
    for (let index = 100; index < 140; index++) ask(cidAt(index), 'demand', { timeoutMs: 100 });
    const seen = askRange(0, 99);
    await clock.advance(500);
    expect([seen.count, a.ranges]).toEqual([0, 0]);
  });

  it('ends after a silence between blocks, and where no source can it is 0', async () => {
    const a = ranged();
    a.delayMs = 50_000;
    build([a], { attemptTimeoutMs: 5000 });
    const seen = askRange(0, 99);
    await clock.advance(TIMEOUT_MS);
    expect(seen.count).toBe(0);
    await queue.close();
    build([source('b')]);
    expect(await queue.wantRange(cidAt(0), { from: 0, to: 9 }, { priority: 'demand' })).toBe(0);
  });
});
