/**
 * The blocks of a CAR as a gateway streams it, within a bound that follows from what was asked for: a gateway may send
 * for ever.
 */
import { CodedError, messageChain } from '../base/errors.ts';
import type { Block } from '../blocks/block.ts';
import { readCar } from './car-reader.ts';
import type { HttpClient } from './http-client.ts';

/**
 * What may come for a range of `n` bytes: leaves of a hundred bytes cost half as much again in CIDs and links, and
 * inner nodes come on top, so four times the range is generous; the constant covers the two blocks that the range cuts
 * and the way down to them, for ranges of a few bytes.
 */
const BYTES_PER_RANGE_BYTE = 4;
const EXTRA_BYTES = 16 * 1024 * 1024;

/**
 * The blocks in the order they were sent, unverified. Leaving early ends the request.
 * @throws in the name of `http` SOURCE_FAILED for what is no CAR, breaks off, or is more than can be needed;
 *   BLOCK_TOO_LARGE; what `chunks` throws.
 */
export async function* gatewayCarBlocks(
  http: HttpClient,
  chunks: AsyncIterable<Uint8Array>,
  rangeBytes: number,
): AsyncGenerator<Block> {
  const bounded = boundedChunks(http, chunks, rangeBytes * BYTES_PER_RANGE_BYTE + EXTRA_BYTES);
  try {
    const { blocks } = await readCar(bounded);
    yield* blocks;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    if (error.code === 'CAR_INVALID') throw http.failure(`sends a bad CAR: ${messageChain(error)}`);
    if (error.code === 'BLOCK_TOO_LARGE') throw http.failure(`sends a bad CAR: ${error.message}`, 'BLOCK_TOO_LARGE');
    throw error;
  } finally {
    // The reader leaves its input open.
    await bounded.return(undefined);
  }
}

async function* boundedChunks(
  http: HttpClient,
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw http.failure(`sends more than ${maxBytes} bytes for a range that needs far less`);
    yield chunk;
  }
}
