import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FailedReads, withinGrace } from '../../src/fuse/kernel/failed-reads.ts';

describe('failed reads', () => {
  const failure = new Error('absent');
  let nowMs = 0;

  it('are remembered for the range and what lies in it, for a moment that grows with how long they waited', () => {
    const reads = new FailedReads(() => nowMs);
    reads.remember(7, 4096, 131_072, failure, 0);
    expect(reads.find(7, 4096, 4096)).toBe(failure);
    expect(reads.find(7, 4096, 131_072)).toBe(failure);
    expect(reads.find(7, 0, 4096)).toBeUndefined();
    expect(reads.find(7, 131_072, 8192)).toBeUndefined();
    expect(reads.find(8, 4096, 4096)).toBeUndefined();
    nowMs += 101;
    expect(reads.find(7, 4096, 4096)).toBeUndefined();
    reads.remember(7, 4096, 131_072, failure, 3000);
    nowMs += 299;
    expect(reads.find(7, 4096, 4096)).toBe(failure);
    nowMs += 2;
    expect(reads.find(7, 4096, 4096)).toBeUndefined();
    reads.remember(7, 4096, 131_072, failure, 3_600_000);
    nowMs += 1001;
    expect(reads.find(7, 4096, 4096)).toBeUndefined();
  });

  it('are remembered one beside the other', () => {
    const reads = new FailedReads(() => nowMs);
    for (let at = 0; at < 10; at++) reads.remember(7, at * 4096, 4096, failure, 0);
    for (let at = 0; at < 10; at++) expect(reads.find(7, at * 4096, 4096)).toBe(failure);
    nowMs += 101;
    for (let at = 0; at < 10; at++) expect(reads.find(7, at * 4096, 4096)).toBeUndefined();
  });

  describe('asked for again', () => {
    beforeEach(() => vi.useFakeTimers());
    afterEach(() => vi.useRealTimers());

    it('are served where the data is there after all', async () => {
      const giveUp = vi.fn();
      expect(await withinGrace(Promise.resolve('data'), failure, giveUp)).toBe('data');
      expect(giveUp).not.toHaveBeenCalled();
      expect(vi.getTimerCount()).toBe(0);
    });

    it('fail as before where it is not, and are given up', async () => {
      const giveUp = vi.fn();
      const outcome = withinGrace(new Promise<never>(() => undefined), failure, giveUp).catch(
        (error: unknown) => error,
      );
      await vi.advanceTimersByTimeAsync(100);
      expect(await outcome).toBe(failure);
      expect(giveUp).toHaveBeenCalledOnce();
    });
  });
});
