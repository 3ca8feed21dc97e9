import { describe, expect, it } from 'vitest';
import { blockKey } from '../../src/blocks/block.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import { makeBlock, makeBlocks } from '../support/make-block.ts';

/** From here on a block is a large one. */
const LARGE_BYTES = 128 * 1024;

describe('MemoryCache', () => {
  it('keeps what was used last, within its bytes', () => {
    const cache = new MemoryCache(10 * 131_500);
    const blocks = makeBlocks(30, LARGE_BYTES);
    const [first] = blocks as [(typeof blocks)[number]];
    for (const { cid, bytes } of blocks) {
      cache.admit(cid, bytes);
      expect(cache.get(blockKey(first.cid))).toEqual(first.bytes);
      expect(cache.sizeBytes).toBeLessThanOrEqual(10 * 131_500);
    }
    expect(cache.blocks).toBe(10);
    expect(blocks.filter(({ cid }) => cache.has(blockKey(cid)))).toEqual([first, ...blocks.slice(-9)]);
  });

  it('has a third of it for small blocks, those used last, and for large ones what they leave', () => {
    const cache = new MemoryCache(30 * 131_500);
    const large = makeBlocks(40, LARGE_BYTES);
    const kept = (blocks: typeof large) => blocks.map(({ cid }) => cache.has(blockKey(cid)));
    for (const { cid, bytes } of large) cache.admit(cid, bytes);
    expect(cache.blocks).toBe(30);
    const small = makeBlocks(20, 131_000);
    for (const { cid, bytes } of small) cache.admit(cid, bytes);
    expect(kept(small)).toEqual(small.map((_, index) => index >= 10));
    expect(kept(large)).toEqual(large.map((_, index) => index >= 20));
    for (const { cid, bytes } of large) cache.admit(cid, bytes);
    expect(kept(small)).toEqual(small.map((_, index) => index >= 10));
    expect(kept(large)).toEqual(large.map((_, index) => index >= 20));
  });

  it('gives parts of blocks, and nothing beyond their end', () => {
    const cache = new MemoryCache(10_000);
    const { cid, bytes } = makeBlock('0123456789');
    cache.admit(cid, bytes);
    expect(cache.getRange(blockKey(cid), 3, 7)).toEqual(bytes.slice(3, 7));
    expect(cache.getRange(blockKey(cid), 0, 10)).toEqual(bytes);
    expect(cache.getRange(blockKey(cid), 3, 11)).toBeUndefined();
    expect(cache.getRange(blockKey(makeBlock('other').cid), 0, 0)).toBeUndefined();
  });

  it('does not hold a large buffer for a small block in it', () => {
    const cache = new MemoryCache(10_000);
    const buffer = new Uint8Array(1_000_000);
    const { cid, bytes } = makeBlock(buffer.subarray(500, 600));
    cache.admit(cid, bytes);
    expect(cache.get(blockKey(cid))?.buffer.byteLength).toBe(100);
  });

  it('leaves out a block larger than itself', () => {
    const cache = new MemoryCache(1000);
    const { cid, bytes } = makeBlock(new Uint8Array(2000));
    cache.admit(cid, bytes);
    expect([cache.blocks, cache.sizeBytes]).toEqual([0, 0]);
  });
});
