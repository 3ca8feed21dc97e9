import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FailedReads, withinGrace } from '../../src/fs/failed-reads.ts';

describe('failed reads', () => {
  const failure = new Error('absent');
  let nowMs = 0;

  const range = (from: number, length: number) => ({ from, to: from + length });
  const soon = { error: failure, certain: false };
  const certain = { error: failure, certain: true };

  it('are remembered for what could not be had, and otherwise for what lies in the range, for a moment that grows with how long they waited', () => {
    const reads = new FailedReads(() => nowMs);
    const asked = range(4096, 131_072);
    const remember = (waitedMs: number) => reads.remember(7, asked, range(65_536, 4096), failure, waitedMs);
    remember(0);
    expect(reads.find(7, range(4096, 4096))).toEqual(soon);
    expect(reads.find(7, asked)).toEqual(certain);
    expect(reads.find(7, range(69_631, 4096))).toEqual(certain);
    expect(reads.find(7, range(69_632, 4096))).toEqual(soon);
    expect(reads.find(7, range(0, 4096))).toBeUndefined();
    expect(reads.find(7, range(131_072, 8192))).toBeUndefined();
    expect(reads.find(8, range(4096, 4096))).toBeUndefined();
    nowMs += 101;
    expect(reads.find(7, asked)).toBeUndefined();
    remember(3000);
    nowMs += 299;
    expect(reads.find(7, asked)).toEqual(certain);
    nowMs += 2;
    expect(reads.find(7, asked)).toBeUndefined();
    remember(3_600_000);
    nowMs += 1001;
    expect(reads.find(7, asked)).toBeUndefined();
  });

  it('are remembered one beside the other, each as a whole where it is not known what of it failed', () => {
    const reads = new FailedReads(() => nowMs);
    for (let at = 0; at < 10; at++) reads.remember(7, range(at * 4096, 4096), undefined, failure, 0);
    for (let at = 0; at < 10; at++) expect(reads.find(7, range(at * 4096 + 1, 1))).toEqual(certain);
    nowMs += 101;
    for (let at = 0; at < 10; at++) expect(reads.find(7, range(at * 4096, 4096))).toBeUndefined();
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
