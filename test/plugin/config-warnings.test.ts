/** What is read and hardly meant is said, with what may have been meant. */
import { expect, test } from 'vitest';
import { readConfig } from '../../plugin/config.ts';
import { configWarnings } from '../../plugin/config-warnings.ts';

function warned(environment: Record<string, string>): string[] {
  return configWarnings(environment, readConfig(environment)).map(({ variable, advice }) => `${variable}: ${advice}`);
}

test.each([
  ['IPFS_VOLUME_CACHESIZE', 'is IPFS_VOLUME_CACHE_SIZE meant?'],
  ['IPFS_VOLUME_GATEWAY', 'is IPFS_VOLUME_GATEWAYS meant?'],
  ['IPFS_VOLUME_KUBO_RCP', 'is IPFS_VOLUME_KUBO_RPC meant?'],
  ['IPFS_VOLUME_SOMETHING_ELSE', '"serve --help" lists them'],
])('%s is no variable', (name, advice) => {
  expect(warned({ [name]: '1', PATH: '/bin' })).toEqual([`${name}: there is no such variable; ${advice}`]);
});

test('a size or rate without its unit, or with too small a one', () => {
  const cache = (text: string) => warned({ IPFS_VOLUME_CACHE_SIZE: text });
  expect(cache('10')).toEqual(['IPFS_VOLUME_CACHE_SIZE: 10 B keeps next to nothing; a size has a unit, as in 10GiB']);
  expect(cache('1KiB')).toHaveLength(1);
  for (const meant of ['0', '4MiB', '10737418240', '']) expect(cache(meant)).toEqual([]);
  expect(warned({ IPFS_VOLUME_PREFETCH_RATE: '20' })).toEqual([
    'IPFS_VOLUME_PREFETCH_RATE: 20 B/s brings next to nothing; a rate has a unit, as in 20MiB/s',
  ]);
  expect(warned({ IPFS_VOLUME_PREFETCH_RATE: '64KiB/s' })).toEqual([]);
});
