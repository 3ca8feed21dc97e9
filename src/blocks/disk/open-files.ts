/**
 * Files kept open, by number: opening one takes as long as a small read of it.
 *
 * A descriptor is closed when its file is not kept any more and no other thread reads from it. However few files the process
 * may have open, sockets get most of them, and where there are none left, those that are kept make room.
 */
import { closeSync, open, openSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { LRUCache } from 'lru-cache';

const openLater = promisify(open);

/** A GiB in blocks of 1 MiB. */
const MAX_FILES = 1024;
/** Of what the process may have open: the rest is for sockets, and for the other store. */
const SHARE = 1 / 8;

interface OpenFile {
  readonly descriptor: number;
  /** How many are reading it in another thread. */
  readers: number;
  kept: boolean;
}

export class OpenFiles {
  readonly #path: (id: number) => string;
  readonly #files = new LRUCache<number, OpenFile>({
    max: filesBound(),
    dispose: (file) => {
      file.kept = false;
      closeUnused(file);
    },
  });

  constructor(path: (id: number) => string) {
    this.#path = path;
  }

  /** A descriptor for this turn alone. @throws the file system's error */
  here(id: number): number {
    return (this.#files.get(id) ?? this.#keep(id, this.#open(id))).descriptor;
  }

  /** A file that stays open until it is given back; opened in another thread. @throws the file system's error */
  async borrow(id: number): Promise<OpenFile> {
    let file = this.#files.get(id);
    if (!file) {
      const descriptor = await this.#openLater(id);
      file = this.#files.get(id);
      // Another may have opened it meanwhile.
      if (file) closeSync(descriptor);
      else file = this.#keep(id, descriptor);
    }
    file.readers++;
    return file;
  }

  giveBack(file: OpenFile): void {
    file.readers--;
    closeUnused(file);
  }

  delete(id: number): void {
    this.#files.delete(id);
  }

  clear(): void {
    this.#files.clear();
  }

  #keep(id: number, descriptor: number): OpenFile {
    const file = { descriptor, readers: 0, kept: true };
    this.#files.set(id, file);
    return file;
  }

  #open(id: number): number {
    try {
      return openSync(this.#path(id), 'r');
    } catch (error) {
      this.#makeRoom(error);
      return openSync(this.#path(id), 'r');
    }
  }

  async #openLater(id: number): Promise<number> {
    try {
      return await openLater(this.#path(id), 'r');
    } catch (error) {
      this.#makeRoom(error);
      return await openLater(this.#path(id), 'r');
    }
  }

  /** @throws `error` where another try is of no use */
  #makeRoom(error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    if (this.#files.size === 0 || (code !== 'EMFILE' && code !== 'ENFILE')) throw error;
    this.#files.clear();
  }
}

function closeUnused(file: OpenFile): void {
  if (file.readers === 0 && !file.kept) closeSync(file.descriptor);
}

/** By RLIMIT_NOFILE, which Node raises as far as it may when it starts. */
function filesBound(): number {
  const limit = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024);
  return Math.max(1, Math.min(MAX_FILES, Math.floor(limit * SHARE)));
}
