/**
 * The disk of the cache with its table of usage, opened and thrown away together: a cache that is damaged, of another
 * version, or deleted under us is begun anew, since all of it can be fetched again.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { PULSE_NAME } from '../base/disk-answers.ts';
import { CodedError, hasCode, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isDamaged } from '../blocks/disk/block-database.ts';
import { BlockDisk, type BlockDiskOptions } from '../blocks/disk/block-disk.ts';
import { CacheUsage } from './cache-usage.ts';

/** All that a cache consists of; whatever else lies in its directory is not ours. */
const NAMES = ['blocks.db', 'blocks.db-wal', 'blocks.db-shm', 'blocks.db-journal', 'files', PULSE_NAME];

export interface CacheDisk {
  readonly disk: BlockDisk;
  readonly usage: CacheUsage;
}

export interface CacheDiskOptions extends Omit<BlockDiskOptions, 'durable'> {
  readonly logger: Logger;
  /** The time in ms. */
  readonly now: () => number;
}

/** Opens or makes the cache in `directory`. @throws STATE_LOCKED, and the disk's error where it can be neither */
export function openCacheDisk(directory: string, options: CacheDiskOptions): CacheDisk {
  try {
    return open(directory, options);
  } catch (error) {
    if (!(isDamaged(error) || hasCode(error, 'CONFIG_INVALID'))) throw error;
    options.logger.error(
      { directory, error: messageChain(error) },
      'the disk cache is damaged or of another version: starting an empty one',
    );
    removeCache(directory);
    return open(directory, options);
  }
}

/** Deletes the cache in `directory`, which nobody has open. @throws the disk's error */
export function removeCache(directory: string): void {
  for (const name of NAMES) rmSync(join(directory, name), { recursive: true, force: true });
}

function open(directory: string, { onDamage, onTrouble, patienceMs, now }: CacheDiskOptions): CacheDisk {
  const disk = new BlockDisk(directory, { durable: false, onDamage, onTrouble, patienceMs });
  try {
    return { disk, usage: new CacheUsage(disk.database, now) };
  } catch (error) {
    disk.close();
    if (isDamaged(error)) throw error;
    throw new CodedError('CONFIG_INVALID', `the table of the cache in ${directory} is not as it should be`, {
      cause: error,
    });
  }
}
