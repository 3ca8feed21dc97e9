/** Which error a volume shows, where several know of one. */
import { expect, test } from 'vitest';
import type { VolumeRegistry } from '../../src/volumes/volume-registry.ts';
import { type StatusSources, UNTOUCHED, VolumeStatuses } from '../../src/volumes/volume-status.ts';

/** Of a mount, a reader and the background, each so many seconds ago; undefined where there was none. */
function lastErrorOf(mountAgo?: number, readAgo?: number, prefetchAgo?: number) {
  const nowMs = performance.now();
  const at = (ago = 0) => nowMs - ago * 1000;
  const text = (what: string, ago: number | undefined) => (ago === undefined ? null : what);
  const cid = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
  const record = { name: 'v', options: { cid }, createdAt: '', resolved: null, mounts: {} };
  const sources: StatusSources = {
    registry: {
      get: () => record,
      mountError: () => text('mount', mountAgo),
      mountErrorMs: () => at(mountAgo),
    } as unknown as VolumeRegistry,
    defaults: { prefetch: 'auto', timeoutMs: 1000 },
    mounted: () => ({
      lastError: text('read', readAgo),
      lastErrorMs: at(readAgo),
      failing: false,
      waits: { size: 0, oldest: undefined },
    }),
    progress: () => ({ ...UNTOUCHED, prefetchError: text('prefetch', prefetchAgo), prefetchErrorMs: at(prefetchAgo) }),
    count: () => undefined,
    hasProfile: () => false,
  };
  const { lastError, lastErrorSecondsAgo } = new VolumeStatuses(sources).of('v');
  return [lastError, lastErrorSecondsAgo];
}

test('the latest error is shown, with its age, whoever knows it', () => {
  expect(lastErrorOf()).toEqual([null, null]);
  expect(lastErrorOf(9, 500, 70)).toEqual(['mount', 9]);
  expect(lastErrorOf(900, 5, 70)).toEqual(['read', 5]);
  expect(lastErrorOf(undefined, 500, 70)).toEqual(['prefetch', 70]);
});
