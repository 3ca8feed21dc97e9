/**
 * Whether the daemon's disk takes what it is given, for `doctor`. Asked of the daemon: in a managed plugin nobody else sees
 * its disk, and the cache is written behind the reads, so that nobody else is told either.
 */

import { formatBytes } from '../../src/base/units.ts';
import type { DiskCache } from '../../src/cache/disk-cache.ts';
import { checkStateDirectory, diagnosis } from '../../src/cli/doctor/machine-checks.ts';
import type { Diagnosis } from '../../src/volumes/control-api.ts';
import { LEAST_CACHE_BYTES } from '../config-warnings.ts';

export function checkDisk(stateDirectory: string, cache: CacheState, cacheLimitBytes: number): Diagnosis[] {
  return [checkStateDirectory(stateDirectory), checkCache(stateDirectory, cache, cacheLimitBytes)];
}

type CacheState = Pick<DiskCache, 'refusal' | 'isFull'>;

/** Why the cache takes nothing, or nothing more; null where it does. */
export function cacheTrouble({ refusal, isFull }: CacheState): string | null {
  if (refusal !== undefined) return `nothing is cached: ${refusal}`;
  return isFull ? 'pinned blocks fill it, and nothing else is cached' : null;
}

function checkCache(stateDirectory: string, cache: CacheState, limitBytes: number): Diagnosis {
  const check = 'disk cache';
  const trouble = cacheTrouble(cache);
  if (trouble === null) return checkBound(check, limitBytes);
  if (cache.refusal === undefined) {
    const advice = 'raise IPFS_VOLUME_CACHE_SIZE, or remove volumes with pin=true';
    return diagnosis(check, 'warning', trouble, advice);
  }
  const advice = `make room in ${stateDirectory}, or make it writable; it is tried again every 30 s`;
  return diagnosis(check, 'failed', trouble, advice);
}

function checkBound(check: string, limitBytes: number): Diagnosis {
  if (limitBytes === 0) return diagnosis(check, 'ok', 'there is none: IPFS_VOLUME_CACHE_SIZE is 0');
  if (limitBytes >= LEAST_CACHE_BYTES) return diagnosis(check, 'ok', 'takes blocks');
  const advice = 'set IPFS_VOLUME_CACHE_SIZE to a size with its unit, as in 10GiB';
  return diagnosis(check, 'warning', `${formatBytes(limitBytes)} keep next to nothing`, advice);
}
