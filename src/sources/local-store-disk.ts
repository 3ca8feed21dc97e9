/**
 * What the local store asks of its disk beyond blocks: that they are on it for good, room to clean up when it is full, and
 * words for what it refuses.
 */
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, fstatSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CodedError, codeOf } from '../base/errors.ts';
import { isDamaged, isDiskFull } from '../blocks/disk/block-database.ts';
import type { BlockDisk } from '../blocks/disk/block-disk.ts';
import type { DiskTotals } from '../blocks/disk/disk-total.ts';

/**
 * Deleting needs room before it gives any: the log of an import's last two commits must go to the database, and then that
 * of the first deletions.
 */
const BALLAST_BYTES = 16 * 1024 * 1024;
/** Written at a time: all of it at once was as much of a new daemon's memory, until V8 collected it. */
const PIECE_BYTES = 256 * 1024;

/** A disk with this many times the room is not short of it. */
const PLENTY = 2;

/** Blocks looked at, which may have to go, between two turns: some ten milliseconds where all of them do. */
const BLOCKS_PER_TURN = 500;

/** A file whose only use is that it can be deleted. */
export class Ballast {
  readonly #directory: string;
  readonly #path: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, 'ballast');
  }

  get isThere(): boolean {
    return existsSync(this.#path);
  }

  /**
   * Sets it aside for a start on a full disk, which a daemon that died must not be kept from: where there is plenty of
   * room, and where it was there and is what made this start possible. Nobody fails for it.
   */
  setAside(wasThere: boolean): void {
    try {
      const { bavail, bsize } = statfsSync(this.#directory);
      if (wasThere || bavail * bsize >= PLENTY * BALLAST_BYTES) this.take();
    } catch {
      // The disk is full.
    }
  }

  /** Makes it where it is missing. @throws the file system's error, ENOSPC above all */
  take(): void {
    const file = openSync(this.#path, 'a', 0o600);
    try {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      for (let missing = BALLAST_BYTES - fstatSync(file).size; missing > 0; ) {
        // Random, or a file system that compresses would set nothing aside.
        missing -= writeSync(file, randomFillSync(piece), 0, Math.min(missing, PIECE_BYTES));
      }
    } finally {
      closeSync(file);
    }
  }

  drop(): void {
    rmSync(this.#path, { force: true });
  }
}

/** What `open` gives, on a full disk too: SQLite writes a little even where it is only opened. */
export function openWithRoom<T>(directory: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    new Ballast(directory).drop();
    return open();
  }
}

/** One syncfs(2) for all files, by sync(1), since Node has only fsync, and one for each of a thousand files takes seconds. */
export async function syncFileSystem(directory: string): Promise<void> {
  const child = spawn('sync', ['--file-system', directory], { stdio: 'ignore' });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new CodedError('INTERNAL', `sync(1) of ${directory} ended with exit code ${code}`);
}

/** What a disk or SQLite threw while the store was `doing`, for people; an error of ours as it is. */
export function storeFailure(error: unknown, directory: string, doing: 'opened' | 'written' | 'cleaned'): CodedError {
  const store = `the local store in ${directory}`;
  if (isDiskFull(error) && doing !== 'opened') {
    const kept = doing === 'written' ? 'nothing of this import is kept' : 'free some and try again';
    return new CodedError('STORE_FULL', `no space left for ${store}; ${kept}`, { cause: error });
  }
  if (isDamaged(error) && !(error instanceof CodedError)) {
    const advice = 'move it away, restart, and add or import its roots again';
    return new CodedError('CONFIG_INVALID', `${store} is damaged: ${advice}`, { cause: error });
  }
  if (error instanceof CodedError && codeOf(error) !== 'INTERNAL') return error;
  return new CodedError(doing === 'opened' ? 'CONFIG_INVALID' : 'INTERNAL', `${store} cannot be ${doing}`, {
    cause: error,
  });
}

/** Of all blocks from number `from` on; between turns of the event loop, since there may be a million. */
export async function deleteBlocks(disk: BlockDisk, from: number, condition?: string): Promise<DiskTotals> {
  const total = { blocks: 0, bytes: 0 };
  disk.checkpoint();
  for (let first: number | undefined = from; first !== undefined; ) {
    await disk.answers();
    const { blocks, bytes, next } = disk.deleteSome(first, BLOCKS_PER_TURN, condition);
    first = next;
    total.blocks += blocks;
    total.bytes += bytes;
    if (blocks > 0) disk.checkpoint();
    await nextTurn();
  }
  for (let more = true; more; ) {
    more = disk.shrink();
    disk.checkpoint();
    await nextTurn();
  }
  return total;
}
