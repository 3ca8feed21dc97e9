/** Blocks by number, of every kind that is kept differently: rows of one page and of several, files. */
import { createHash } from 'node:crypto';
import type { Block } from '../../../src/blocks/block.ts';
import { makeBlock } from '../../support/make-block.ts';

const SIZES = [300, 5000, 30_000, 40_000, 200_000];

export function numbered(index: number): Block {
  const size = SIZES[index % SIZES.length] as number;
  return makeBlock(new Uint8Array(createHash('shake256', { outputLength: size }).update(String(index)).digest()));
}
