/**
 * What the local store keeps of a DAG, as a CAR to go elsewhere: the counterpart of its import.
 *
 * It is walked twice. The first time nothing is sent: whether all of it is here, and how much that is, is known before the
 * first byte, so that a DAG that is here in part is an error and no CAR, and one that is cut off can be told from a whole
 * one by its length. What goes between the two walks (`store gc`, a block found damaged) breaks the second one off.
 *
 * Every block goes out as the store gives it: checked against the checksums that were made when it was verified.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { Scratch } from '../base/scratch.ts';
import { type BlockKey, blockKey, MAX_BLOCK_BYTES } from '../blocks/block.ts';
import type { BlockStore } from '../blocks/block-store.ts';
import { carHeader, sectionBytes } from '../blocks/car-format.ts';
import { walkDag } from '../unixfs/dag-walk.ts';
import { CarBatches, type Send } from './car-batches.ts';

/** The part of the local store that an export needs. */
export interface ExportedStore extends Pick<BlockStore, 'get' | 'getRange'> {
  /** In bytes, where that is known without reading the block. */
  sizeOf(key: BlockKey): number | undefined;
  /** How often its disk could not answer, so that it seemed to have no such block. */
  readonly unanswered: number;
}

export interface StoreExport {
  readonly root: CID;
  /** Blocks, and the bytes in them. */
  readonly blocks: number;
  readonly bytes: number;
  /** Of the whole CAR. */
  readonly carBytes: number;
  /** Writes the CAR as fast as it is sent, piece by piece. @throws as `exportDag`, and what `send` does: then it has no end */
  write(send: Send, signal: AbortSignal): Promise<void>;
}

/**
 * Resolves once all of the DAG below `root`, which need be no root of the store's, was found here.
 * @throws NOT_IN_STORE naming the first block that is not here, DAG_INVALID, BLOCK_CORRUPT, ABORTED, INTERNAL for a disk that is silent
 */
export async function exportDag(store: ExportedStore, root: CID, signal: AbortSignal): Promise<StoreExport> {
  const total = { blocks: 0, bytes: 0, carBytes: carHeader(root).length };
  const count = (cid: CID, sizeBytes: number): void => {
    total.blocks++;
    total.bytes += sizeBytes;
    total.carBytes += sectionBytes(cid, sizeBytes);
  };
  const scratch = new Scratch(MAX_BLOCK_BYTES, { outlivesTurn: true });
  const read = (cid: CID) => {
    scratch.reset();
    return readBlock(store, root, cid, scratch);
  };
  const measuring = {
    read,
    found(cid: CID, bytes: Uint8Array | undefined) {
      const sizeBytes = bytes?.length ?? store.sizeOf(blockKey(cid));
      if (sizeBytes !== undefined) return count(cid, sizeBytes);
      // Either absent or on a disk that is slow, which reading waits for.
      return read(cid).then(({ length }) => count(cid, length));
    },
  };
  await walkDag(root, measuring, signal);
  return {
    root,
    ...total,
    async write(send, leaving) {
      const batches = new CarBatches(carHeader(root), send);
      const sending = {
        read,
        async found(cid: CID, bytes: Uint8Array | undefined) {
          await batches.untilRoom(cid, bytes?.length ?? store.sizeOf(blockKey(cid)) ?? MAX_BLOCK_BYTES);
          batches.add(cid, bytes ?? (await read(cid)));
        },
      };
      await walkDag(root, sending, leaving);
      await batches.end();
    },
  };
}

/** The block's bytes, valid as long as what stands in `scratch`. */
async function readBlock(store: ExportedStore, root: CID, cid: CID, scratch: Scratch): Promise<Uint8Array> {
  const { unanswered } = store;
  const key = blockKey(cid);
  const sizeBytes = store.sizeOf(key);
  const bytes = await (sizeBytes === undefined ? store.get(key) : store.getRange(key, 0, sizeBytes, scratch));
  if (bytes) return bytes;
  if (store.unanswered !== unanswered) {
    throw new CodedError('INTERNAL', `the disk of the local store does not give block ${cid}; the log says why`);
  }
  if (cid.equals(root)) {
    throw new CodedError(
      'NOT_IN_STORE',
      `the local store has no block ${cid}: "add" or "import" it first; "store ls" shows what is there`,
    );
  }
  throw new CodedError(
    'NOT_IN_STORE',
    `the local store has only a part of ${root}: block ${cid} is missing; add or import all of it`,
  );
}
