/**
 * The directory of a block disk, and the file system under it: whether it is still the one that was opened, and whether it
 * answers at all.
 */
import { statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { diskAnswers } from '../../base/disk-answers.ts';
import { databasePath } from './block-database.ts';

export class BlockDirectory {
  readonly #path: string;
  readonly #inode: number;

  /** Of a directory whose database is open. @throws the file system's error */
  constructor(path: string) {
    this.#path = path;
    this.#inode = statSync(databasePath(path)).ino;
  }

  /** False once it was deleted, or replaced, under us: what is written from now on is lost. */
  get isThere(): boolean {
    try {
      return statSync(databasePath(this.#path)).ino === this.#inode;
    } catch {
      return false;
    }
  }

  /**
   * Resolves once the disk has answered, which may be never. With `written`, once all that was committed is on it: then the
   * next commits find it idle.
   */
  async answers(written = false): Promise<void> {
    await diskAnswers(this.#path);
    if (!written) return;
    try {
      await using journal = await open(`${databasePath(this.#path)}-wal`, 'r');
      await journal.datasync();
    } catch {
      // An answer too: the commit that follows is told.
    }
  }
}
