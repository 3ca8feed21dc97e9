/**
 * Blocks that were found damaged: absent for everybody from then on, and deleted as soon as the disk has answered another
 * thread, since one that damages blocks may as well hang. On a disk that cannot be written to they stay, and the next start
 * finds them again.
 */
import type { BlockKey } from '../block.ts';
import type { BlockDirectory } from './block-directory.ts';
import type { BlockRows, Row } from './block-rows.ts';
import type { DiskChanges } from './disk-changes.ts';

export interface DamagedBlocksParts {
  readonly directory: BlockDirectory;
  readonly rows: BlockRows;
  readonly changes: DiskChanges;
  readonly onDamage: (key: BlockKey, sizeBytes: number) => void;
  /** The database could not be changed. */
  readonly onTrouble: (error: unknown) => void;
}

export class DamagedBlocks {
  readonly #parts: DamagedBlocksParts;
  /** Not deleted yet. */
  readonly #rows = new Map<BlockKey, Row>();

  constructor(parts: DamagedBlocksParts) {
    this.#parts = parts;
  }

  has(key: BlockKey): boolean {
    return this.#rows.has(key);
  }

  /** Told of what a read found; often of one block, by several that were under way. */
  found(key: BlockKey, row: Row): undefined {
    if (this.#rows.has(key)) return;
    this.#rows.set(key, row);
    const { directory, changes, onDamage, onTrouble } = this.#parts;
    onDamage(key, row.size);
    void directory.answers().then(() => {
      if (!changes.isOpen) return;
      try {
        // Where files are being written, a commit now would give their numbers out as settled: the next start would not sweep them.
        const alone = changes.isIdle;
        this.delete(key);
        if (alone) changes.commit();
      } catch (error) {
        onTrouble(error);
      }
    });
  }

  /** Where it is one: deletes it now, since it is to be kept anew. Needs a commit. @throws SQLite's error */
  delete(key: BlockKey): void {
    const row = this.#rows.get(key);
    if (!row) return;
    // Read in another thread, it may have been deleted meanwhile.
    if (this.#parts.rows.find(key)?.id === row.id) this.#parts.changes.delete(row, key);
    this.#rows.delete(key);
  }
}
