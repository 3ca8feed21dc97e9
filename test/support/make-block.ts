/** Blocks for tests: raw codec, sha-256. */
import { createHash } from 'node:crypto';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import type { Block } from '../../src/blocks/block.ts';

export function makeBlock(content: string | Uint8Array): Block {
  const bytes = typeof content === 'string' ? new Uint8Array(Buffer.from(content)) : content;
  const digest = new Uint8Array(createHash('sha256').update(bytes).digest());
  return { cid: CID.createV1(0x55, create(0x12, digest)), bytes };
}

/** `count` blocks that differ, of `sizeBytes` (at least 8) each. */
export function makeBlocks(count: number, sizeBytes = 8): Block[] {
  return Array.from({ length: count }, (_, index) => {
    const bytes = new Uint8Array(sizeBytes);
    new DataView(bytes.buffer).setFloat64(0, index);
    return makeBlock(bytes);
  });
}
