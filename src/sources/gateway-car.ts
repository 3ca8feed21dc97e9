/**
 * The blocks of a CAR as a gateway streams it, within bounds that follow from what was asked for.
 *
 * A gateway may send for ever, or announce one block of a terabyte: the decoder collects what a block's length
 * announces, so the bytes are counted before they reach it.
 */
import { CarBlockIterator } from '@ipld/car';
import { CodedError } from '../base/errors.ts';
import type { Block } from '../blocks/block.ts';

/**
 * What may come for a range of `n` bytes: leaves of a hundred bytes cost half as much again in CIDs and links, and
 * inner nodes come on top, so four times the range is generous; the constant covers the two blocks that the range cuts
 * and the way down to them, for ranges of a few bytes.
 */
const BYTES_PER_RANGE_BYTE = 4;
const EXTRA_BYTES = 16 * 1024 * 1024;

/**
 * The blocks in the order they were sent, unverified.
 * @throws what `chunks` throws, and what `failure` makes of a CAR that does not parse or is more than can be needed.
 */
export async function* decodeCarBlocks(
  chunks: AsyncIterable<Uint8Array>,
  rangeBytes: number,
  failure: (what: string) => CodedError,
): AsyncGenerator<Block> {
  const bounded = boundedChunks(chunks, rangeBytes * BYTES_PER_RANGE_BYTE + EXTRA_BYTES, failure);
  try {
    const blocks = await CarBlockIterator.fromIterable(bounded);
    for await (const { cid, bytes } of blocks) yield { cid, bytes };
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw failure(`sends a CAR that does not parse: ${error instanceof Error ? error.message : error}`);
  } finally {
    // The decoder does not close its input when its reader leaves; this ends the request.
    await bounded.return(undefined);
  }
}

async function* boundedChunks(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  failure: (what: string) => CodedError,
): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes)
      throw failure(`sends a CAR of more than ${maxBytes} bytes for a range that needs far less`);
    yield chunk;
  }
}
