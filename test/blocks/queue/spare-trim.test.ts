/** What the background leaves of its window beside readers, round by round. */
import { expect, test } from 'vitest';
import { SpareTrim } from '../../../src/blocks/queue/spare-trim.ts';

const BLOCK_MS = 8;
const WINDOW = 10;

/** After `count` rounds in which so many blocks stood on the way, and the link brought `share` of its best. */
function rounds(trim: SpareTrim, count: number, standingBlocks: number, share = 1, window = WINDOW): number {
  for (let round = 0; round < count; round++) trim.judge(standingBlocks * BLOCK_MS, BLOCK_MS, share, window);
  return trim.from(window);
}

test('takes nothing away where nothing stands on the way', () => {
  expect(rounds(new SpareTrim(), 1000, 0.4)).toBe(10);
});

test('takes a request away for each block that stands there, as soon as three rounds in a row say so', () => {
  const trim = new SpareTrim();
  expect(rounds(trim, 2, 0.9)).toBe(10);
  expect(rounds(trim, 1, 0)).toBe(10);
  expect(rounds(trim, 2, 0.9)).toBe(10);
  expect(rounds(trim, 1, 0.9)).toBe(9);
  // What comes next was sent before.
  expect(rounds(trim, 1, 0.9)).toBe(9);
  expect(rounds(trim, 100, 0)).toBe(9);
  const other = new SpareTrim();
  rounds(other, 2, 3.5);
  expect(rounds(other, 1, 2.5)).toBe(8);
});

test('takes no more than three tenths, however slow the answers are', () => {
  const trim = new SpareTrim();
  expect(rounds(trim, 100, 20)).toBe(7);
  expect(trim.from(3)).toBe(3);
  expect(trim.from(5)).toBe(4);
});

test('gives one back where the link idles, and waits twice as long each time that it was one too many', () => {
  const trim = new SpareTrim();
  rounds(trim, 3, 0.9);
  const patience: number[] = [];
  for (let tries = 0; tries < 6; tries++) {
    let waited = 1;
    while (rounds(trim, 1, 0, 0.8) === 9) waited++;
    patience.push(waited);
    expect(rounds(trim, 4, 0.9)).toBe(9);
  }
  expect(patience).toEqual([33, 65, 129, 257, 513, 513]);
  // Where the link brings what it can, there is nothing to be had.
  expect(rounds(trim, 2000, 0, 0.95)).toBe(9);
});

test('takes timers that are late for no queue, where blocks are small', () => {
  const trim = new SpareTrim();
  for (let round = 0; round < 10; round++) trim.judge(1.4, 0.03, 1, WINDOW);
  expect(trim.from(WINDOW)).toBe(WINDOW);
});
