/**
 * Whether the daemon's disk takes what it is given, for `doctor`. Asked of the daemon: in a managed plugin nobody else sees
 * its disk, and the cache is written behind the reads, so that nobody else is told either.
 */
import type { DiskCache } from '../../src/cache/disk-cache.ts';
import { checkStateDirectory, diagnosis } from '../../src/cli/doctor/machine-checks.ts';
import type { Diagnosis } from '../../src/volumes/control-api.ts';

export function checkDisk(stateDirectory: string, cache: Pick<DiskCache, 'refusal' | 'isFull'>): Diagnosis[] {
  return [checkStateDirectory(stateDirectory), checkCache(stateDirectory, cache)];
}

function checkCache(stateDirectory: string, { refusal, isFull }: Pick<DiskCache, 'refusal' | 'isFull'>): Diagnosis {
  const check = 'disk cache';
  if (refusal !== undefined) {
    const advice = `make room in ${stateDirectory}, or make it writable; it is tried again every 30 s`;
    return diagnosis(check, 'failed', `nothing is cached: ${refusal}`, advice);
  }
  if (isFull) {
    const advice = 'raise IPFS_VOLUME_CACHE_SIZE, or remove volumes with pin=true';
    return diagnosis(check, 'warning', 'pinned blocks fill it, and nothing else is cached', advice);
  }
  return diagnosis(check, 'ok', 'takes blocks');
}
