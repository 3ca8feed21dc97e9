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
import { type BlockKey, blockKey } from '../blocks/block.ts';
import { isLent } from '../blocks/block-memory.ts';
import type { BlockStore } from '../blocks/block-store.ts';
import { type CarStream, carHeader, sectionBytes } from '../blocks/car-stream.ts';
import { walkDag } from '../unixfs/dag-walk.ts';

/** The part of the local store that an export needs. */
export interface ExportedStore extends Pick<BlockStore, 'get'> {
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
  /** Writes the CAR, as fast as `car` is read, and ends it. @throws as `exportDag`, then `car` is without an end */
  write(car: CarStream, signal: AbortSignal): Promise<void>;
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
  const read = (cid: CID) => readBlock(store, root, cid);
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
    async write(car, leaving) {
      const sending = {
        read,
        found: async (cid: CID, bytes: Uint8Array | undefined) =>
          await car.write({ cid, bytes: bytes ?? (await read(cid)) }),
      };
      await walkDag(root, sending, leaving);
      car.end();
    },
  };
}

/** The block's bytes, valid for as long as they are wanted. */
async function readBlock(store: ExportedStore, root: CID, cid: CID): Promise<Uint8Array> {
  const { unanswered } = store;
  const bytes = await store.get(blockKey(cid));
  if (bytes) return isLent(bytes) ? Uint8Array.from(bytes) : bytes;
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
