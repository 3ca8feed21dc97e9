/**
 * CARs, version 1 and 2, as they stream in: @ipld/car understands them, and reads here through a window that bounds what
 * a hostile length can make it collect, and that tells a truncated file from a finished one.
 *
 * Format: https://ipld.io/specs/transport/car/
 */
import { createDecoder } from '@ipld/car/decoder';
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { type Block, MAX_BLOCK_BYTES } from '../blocks/block.ts';
import { Pieces } from './pieces.ts';

/** A section is a CID and a block; a header's roots take 40 bytes each, so this has room for fifty thousand. */
const MAX_PIECE_BYTES = MAX_BLOCK_BYTES + 4096;

/** Of a section's length, as @ipld/car reads it. */
const LENGTH_BYTES = 8;
const NO_CAR = 'this is no CAR: its header does not parse';

export interface Car {
  readonly roots: readonly CID[];
  /** In their order, unverified. */
  readonly blocks: AsyncIterable<Block>;
}

/**
 * The header at once, the blocks as they are asked for. Nothing but `chunks` is held open; whoever stops early closes it.
 * @throws CAR_INVALID for what is no CAR, or ends too early; BLOCK_TOO_LARGE
 */
export async function readCar(chunks: AsyncIterable<Uint8Array>): Promise<Car> {
  const reader = new BoundedReader(chunks);
  if (!isHeader(await reader.upTo(LENGTH_BYTES + 1))) throw new CodedError('CAR_INVALID', NO_CAR);
  const decoder = createDecoder(reader);
  const header = await parsing(() => decoder.header(), NO_CAR);
  // A version 2 says where its blocks end, so that one cut off between two of them is found too.
  const endsAt = header.version === 2 ? header.dataOffset + header.dataSize : undefined;
  return { roots: header.roots, blocks: readBlocks(decoder.blocks(), reader, endsAt) };
}

/**
 * Whether a file may begin so: a varint, and dag-cbor of a map of one (version 2) or two entries. The first letter of a text
 * is a length too, mostly of more than there is: it would be taken for a CAR that was cut off.
 */
function isHeader(start: Uint8Array): boolean {
  const map = start[start.findIndex((byte) => byte < 0x80) + 1];
  return map === undefined || map === 0xa1 || map === 0xa2;
}

async function* readBlocks(
  blocks: AsyncGenerator<Block>,
  reader: BoundedReader,
  endsAt: number | undefined,
): AsyncGenerator<Block> {
  for (;;) {
    const next = await parsing(() => blocks.next());
    if (next.done) {
      if (endsAt !== undefined && reader.pos < endsAt) throw truncated(reader.pos);
      return;
    }
    yield { cid: next.value.cid, bytes: next.value.bytes };
  }
}

function truncated(bytes: number): CodedError {
  return new CodedError('CAR_INVALID', `the CAR is truncated: it ends after ${bytes} bytes`);
}

async function parsing<T>(work: () => Promise<T>, problem = 'the CAR does not parse'): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError('CAR_INVALID', problem, { cause: error });
  }
}

/** @ipld/car's view of its input. Positions count from the start of the stream. */
class BoundedReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #have: Uint8Array = new Uint8Array(0);
  #position = 0;
  #toSkip = 0;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  get pos(): number {
    return this.#position;
  }

  async upTo(length: number): Promise<Uint8Array> {
    await this.#collect(length);
    return this.#have.subarray(0, length);
  }

  async exactly(length: number, seek = false): Promise<Uint8Array> {
    if (length < 0) throw new CodedError('CAR_INVALID', 'the CAR has a section that is shorter than its CID');
    await this.#collect(length);
    if (this.#have.length < length) throw truncated(this.#position + this.#have.length);
    const bytes = this.#have.subarray(0, length);
    if (seek) this.seek(length);
    return bytes;
  }

  /** Passes over bytes without collecting them, those included that have not come yet (a version 2's padding). */
  seek(length: number): void {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new CodedError('CAR_INVALID', 'the CAR says that its data begins within its own header');
    }
    const here = Math.min(length, this.#have.length);
    this.#have = this.#have.subarray(here);
    this.#toSkip += length - here;
    this.#position += length;
  }

  async #collect(length: number): Promise<void> {
    if (length > MAX_PIECE_BYTES) {
      throw new CodedError('BLOCK_TOO_LARGE', `the CAR has a section of ${length} bytes; a block has at most 2 MiB`);
    }
    if (this.#have.length >= length) return;
    const pieces = new Pieces();
    pieces.add(this.#have);
    while (pieces.sizeBytes < length) {
      const next = await this.#chunks.next();
      if (next.done) break;
      const skipped = Math.min(this.#toSkip, next.value.length);
      this.#toSkip -= skipped;
      pieces.add(next.value.subarray(skipped));
    }
    this.#have = pieces.bytes;
  }
}
