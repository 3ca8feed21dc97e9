/**
 * Reads of blocks that are on the disk: what comes out is what went in, or nothing.
 *
 * What always holds:
 * - Every page is checked against its checksum. Damage is reported, and the answer is as if the block had never been there,
 *   from then on (`damaged-blocks.ts`).
 * - A disk that fails to answer is reported as trouble, and says nothing of the block.
 */
import type { MaybePromise } from '../../base/maybe-promise.ts';
import type { Scratch } from '../../base/scratch.ts';
import type { BlockKey } from '../block.ts';
import type { BlockDirectory } from './block-directory.ts';
import type { BlockFiles } from './block-files.ts';
import type { BlockRows, Row } from './block-rows.ts';
import type { DamagedBlocks } from './damaged-blocks.ts';
import { PAGE_BYTES, pagesMatch } from './page-checksums.ts';

export interface CheckedReadsParts {
  readonly directory: BlockDirectory;
  readonly rows: BlockRows;
  readonly files: BlockFiles;
  readonly damaged: DamagedBlocks;
  /** The disk, or the database, could not be read. */
  readonly onTrouble: (error: unknown) => void;
}

export class CheckedReads {
  readonly #parts: CheckedReadsParts;

  constructor(parts: CheckedReadsParts) {
    this.#parts = parts;
  }

  has(key: BlockKey): boolean {
    const { rows, damaged } = this.#parts;
    return !damaged.has(key) && (this.#attempt(() => rows.has(key)) ?? false);
  }

  /** Of a block that is there. */
  row(key: BlockKey): Row | undefined {
    const { rows, damaged } = this.#parts;
    return damaged.has(key) ? undefined : this.#attempt(() => rows.find(key));
  }

  /** Bytes `start`..`end`, which stand in the block; undefined where they cannot be had. As `BlockFiles.read` of `scratch`. */
  read(key: BlockKey, row: Row, start: number, end: number, scratch?: Scratch): MaybePromise<Uint8Array | undefined> {
    const { from, to } = pagesAround(row, start, end);
    const checked = (bytes: Uint8Array): Uint8Array | undefined => {
      const isWhole = bytes.length === to - from && pagesMatch(key, bytes, from / PAGE_BYTES, row.checksums);
      return isWhole ? bytes.subarray(start - from, end - from) : this.#parts.damaged.found(key, row);
    };
    const failed = (error: unknown) => this.#failed(key, row, error);
    try {
      const bytes = row.data ? row.data.subarray(from, to) : this.#parts.files.read(row.id, from, to, scratch);
      return bytes instanceof Promise ? bytes.then(checked).catch(failed) : checked(bytes);
    } catch (error) {
      return failed(error);
    }
  }

  /** Bytes `start`..`end` will be read soon. */
  expect(key: BlockKey, start: number, end: number): void {
    const { rows, files, damaged } = this.#parts;
    const row = damaged.has(key) ? undefined : this.#attempt(() => rows.findLarge(key));
    if (!row) return;
    const { from, to } = pagesAround(row, start, Math.min(end, row.size));
    files.expect(row.id, from, to);
  }

  #failed(key: BlockKey, row: Row, error: unknown): undefined {
    const { directory, rows, damaged, onTrouble } = this.#parts;
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !directory.isThere) return void onTrouble(error);
    // It may have been deleted while the read waited for its turn.
    if (this.#attempt(() => rows.find(key))?.id === row.id) damaged.found(key, row);
  }

  #attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#parts.onTrouble(error);
      return undefined;
    }
  }
}

/** The checked pages that hold bytes `start`..`end` of a block. */
function pagesAround({ size }: Row, start: number, end: number): { readonly from: number; readonly to: number } {
  return {
    from: Math.floor(start / PAGE_BYTES) * PAGE_BYTES,
    to: Math.min(size, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES),
  };
}
