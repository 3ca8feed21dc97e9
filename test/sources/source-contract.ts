/**
 * What every BlockSource owes its caller, whatever it talks to. Each implementation runs it against the real thing.
 */
import { createHash, randomBytes } from 'node:crypto';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { expect, test } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { type Block, MAX_BLOCK_BYTES } from '../../src/blocks/block.ts';
import type { BlockSource } from '../../src/blocks/block-source.ts';

export interface SourceUnderTest {
  readonly source: BlockSource;
  /** Makes the block available to the source. */
  put(block: Block): Promise<unknown>;
  /** A fresh one on the same blocks, for tests that close it. */
  open(): BlockSource;
}

const RAW_CODEC = 0x55;

export function rawBlock(bytes: Uint8Array): Block {
  return { cid: CID.createV1(RAW_CODEC, Digest.create(0x12, createHash('sha256').update(bytes).digest())), bytes };
}

/** Demand, with a deadline far above what any of these takes: a test that would hang fails instead. */
export function demand(signal: AbortSignal = AbortSignal.timeout(20_000)) {
  return { signal, priority: 'demand' as const };
}

/** The code of what `promise` fails with. */
export async function failureCode(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no failure',
    (error) => codeOf(error),
  );
}

/** `subject` is called within the tests: what it gives may be made in `beforeAll`. */
export function sourceContract(subject: () => SourceUnderTest): void {
  test.each([1, 1000, 262_144, 1024 * 1024, MAX_BLOCK_BYTES])(
    'a block of %i bytes comes through, and is told of as it comes',
    async (sizeBytes) => {
      const { source, put } = subject();
      const block = rawBlock(randomBytes(sizeBytes));
      await put(block);
      let toldBytes = 0;
      const onBytes = (count: number) => {
        toldBytes += count;
      };
      expect(Buffer.compare(await source.getBlock(block.cid, { ...demand(), onBytes }), block.bytes)).toBe(0);
      expect(toldBytes).toBe(sizeBytes);
    },
  );

  test('the empty block comes through', async () => {
    const { source, put } = subject();
    const block = rawBlock(new Uint8Array());
    await put(block);
    expect(await source.getBlock(block.cid, demand())).toHaveLength(0);
  });

  test('many blocks at once each get their own bytes', async () => {
    const { source, put } = subject();
    const blocks = Array.from({ length: 100 }, () => rawBlock(randomBytes(5000)));
    for (const block of blocks) await put(block);
    const received = await Promise.all(blocks.map(({ cid }) => source.getBlock(cid, demand())));
    expect(received.every((bytes, index) => Buffer.compare(bytes, blocks[index]?.bytes ?? bytes) === 0)).toBe(true);
  });

  test('an absent block is BLOCK_UNAVAILABLE, and the next one comes through', async () => {
    const { source, put } = subject();
    expect(await failureCode(source.getBlock(rawBlock(randomBytes(32)).cid, demand()))).toBe('BLOCK_UNAVAILABLE');
    const block = rawBlock(randomBytes(32));
    await put(block);
    expect(await source.getBlock(block.cid, demand())).toHaveLength(32);
  });

  test('it answers a ping', async () => {
    const { source } = subject();
    expect(source.ping).toBeDefined();
    await source.ping?.(demand());
  });

  test('an aborted signal is ABORTED', async () => {
    const { source } = subject();
    const { cid } = rawBlock(randomBytes(32));
    expect(await failureCode(source.getBlock(cid, demand(AbortSignal.abort())))).toBe('ABORTED');
  });

  test('close is idempotent, and what is asked afterwards fails with a code', async () => {
    const { put, open } = subject();
    const block = rawBlock(randomBytes(32));
    await put(block);
    const source = open();
    await source.getBlock(block.cid, demand());
    await source.close();
    await source.close();
    expect(await failureCode(source.getBlock(block.cid, demand()))).toBe('SOURCE_FAILED');
  });
}
