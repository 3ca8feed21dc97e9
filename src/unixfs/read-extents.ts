/**
 * The bytes of extents: all their blocks wanted at once, in this turn where they are on the machine. Nothing is copied,
 * but for what has to wait for others.
 */
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Scratch } from '../base/scratch.ts';
import type { BlockReader, WantOptions } from '../blocks/block-reader.ts';
import { type Extent, type OnFailure, sizeDiffers } from './file-index.ts';

/**
 * One piece an extent, in their order, valid in the turn in which they are given; those answered in this turn may be in
 * `scratch`. `onFailure` is told of each extent that could not be had.
 * @throws DAG_INVALID where a block is not as long as the file claims, and what `blocks/` throws.
 */
export function readExtents(
  blocks: BlockReader,
  extents: readonly Extent[],
  options: WantOptions,
  onFailure: OnFailure,
  scratch?: Scratch,
): MaybePromise<readonly Uint8Array[]> {
  // A want that throws in this turn must not leave the ones before it without anybody to see them fail.
  const pieces = extents.map((extent) => {
    try {
      const piece = readExtent(blocks, extent, options, scratch);
      if (!(piece instanceof Promise)) return given(piece, extent);
      return piece.then((bytes) => own(given(bytes, extent))).catch((error: unknown) => fail(extent, error));
    } catch (error) {
      return Promise.reject(error).catch((error) => fail(extent, error));
    }
  });
  if (!pieces.some((piece) => piece instanceof Promise)) return pieces as Uint8Array[];
  return Promise.all(pieces.map((piece) => (piece instanceof Promise ? piece : own(piece))));

  /** What has to wait for others is copied: neither a block nor a scratch is anybody's for longer than a turn. */
  function own(piece: Uint8Array): Uint8Array {
    return extents.length > 1 ? new Uint8Array(piece) : piece;
  }

  function given(piece: Uint8Array, { cid, offsetInBlock, length, blockBytes }: Extent): Uint8Array {
    if (offsetInBlock + length === blockBytes) blocks.readToEnd(cid);
    return piece;
  }

  function fail(extent: Extent, error: unknown): never {
    onFailure(extent.offset, extent.length);
    throw error;
  }
}

/**
 * All of a block is read as a whole, so that one longer than claimed is found; a part of it is read as a range, which a
 * store answers without reading the rest.
 */
function readExtent(
  blocks: BlockReader,
  extent: Extent,
  options: WantOptions,
  scratch: Scratch | undefined,
): MaybePromise<Uint8Array> {
  const { cid, offsetInBlock, length, blockBytes } = extent;
  if (length !== blockBytes) return blocks.getRange(cid, offsetInBlock, offsetInBlock + length, options, scratch);
  const whole = blocks.get(cid, options);
  return whole instanceof Promise ? whole.then((bytes) => checked(bytes, length)) : checked(whole, length);
}

function checked(bytes: Uint8Array, claimedBytes: number): Uint8Array {
  if (bytes.length !== claimedBytes) throw sizeDiffers(claimedBytes, bytes.length);
  return bytes;
}
