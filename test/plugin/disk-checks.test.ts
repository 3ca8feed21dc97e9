/** What `status` and `doctor` say of a cache that takes nothing. */
import { expect, test } from 'vitest';
import { cacheTrouble, checkDisk } from '../../plugin/daemon/disk-checks.ts';

test('a disk that refuses, one that pins fill, and one that is well', () => {
  const full = { refusal: 'ENOSPC: no space left on device', isFull: false };
  expect(cacheTrouble(full)).toBe('nothing is cached: ENOSPC: no space left on device');
  const outcomes = (cache: Parameters<typeof checkDisk>[1], limitBytes = 1e9) =>
    checkDisk('/tmp', cache, limitBytes).find(({ check }) => check === 'disk cache');
  expect(outcomes(full)).toMatchObject({ outcome: 'failed', detail: cacheTrouble(full) });
  const pinned = { refusal: undefined, isFull: true };
  expect(outcomes(pinned)).toMatchObject({ outcome: 'warning', detail: cacheTrouble(pinned) });
  const well = { refusal: undefined, isFull: false };
  expect(cacheTrouble(well)).toBeNull();
  expect(outcomes(well)).toMatchObject({ outcome: 'ok', detail: 'takes blocks' });
  // "10" for "10GiB".
  expect(outcomes(well, 10)).toMatchObject({ outcome: 'warning', detail: '10 B keep next to nothing' });
  expect(outcomes(well, 0)).toMatchObject({ outcome: 'ok', detail: expect.stringContaining('none') });
});
