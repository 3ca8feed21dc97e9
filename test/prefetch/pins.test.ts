/** What of a volume is pinned where, and a Kubo node that is told again. */
import { expect, test } from 'vitest';
import type { BlockKey } from '../../src/blocks/block.ts';
import { blockKey } from '../../src/blocks/block.ts';
import { type PinnableCache, type Pinner, Pins } from '../../src/prefetch/pins.ts';
import { makeBlock, makeBlocks } from '../support/make-block.ts';

const { cid: ROOT } = makeBlock('root');
const { signal } = new AbortController();

function pins(inCache: readonly BlockKey[], pinner?: Pinner) {
  const pinned: BlockKey[] = [];
  const warnings: object[] = [];
  const cache: PinnableCache = {
    has: (key) => inCache.includes(key),
    pin: (keys) => void pinned.push(...keys),
    unpin: async () => {},
  };
  const warn = (fields: object) => warnings.push(fields);
  const ignore = () => {};
  const logger = { debug: ignore, info: ignore, warn, error: ignore, child: () => logger };
  return { pins: new Pins(ROOT, cache, pinner, logger), pinned, warnings };
}

test('what the cache has is pinned, in batches while it comes and the rest once all is here', async () => {
  const keys = makeBlocks(300).map(({ cid }) => blockKey(cid));
  const [inStore, ...inCache] = keys as [BlockKey, ...BlockKey[]];
  const { pins: own, pinned } = pins(inCache);
  expect(own.atKubo).toBeUndefined();
  for (const key of [inStore, ...inCache]) own.onHere(key);
  expect(pinned).toEqual(inCache.slice(0, 256));
  await own.complete(signal);
  expect(pinned).toEqual(inCache);
  // There is no node.
  expect(own.atKubo).toBe(false);
});

test('a node that fails is said once, told again when asked, and never again after that', async () => {
  let tries = 0;
  const pin = async () => {
    if (++tries <= 3) throw new Error(`refused ${tries}`);
  };
  const { pins: own, warnings } = pins([], { pin, unpin: async () => {} });
  // Nothing is here yet.
  await own.retry(signal);
  expect(tries).toBe(0);
  await own.complete(signal);
  await own.retry(signal);
  await own.retry(signal);
  expect(warnings).toEqual([{ error: 'refused 1' }]);
  expect(own.atKubo).not.toBe(true);
  await own.retry(signal);
  await own.retry(signal);
  expect(tries).toBe(4);
  expect(own.atKubo).toBe(true);
});

test('what ends with the mount is no failure', async () => {
  const { pins: own, warnings } = pins([], { pin: (_, options) => rejectedBy(options.signal), unpin: async () => {} });
  await own.complete(AbortSignal.abort(new Error('unmounted')));
  await own.retry(signal);
  expect(warnings).toEqual([]);
});

async function rejectedBy(aborted: AbortSignal): Promise<never> {
  throw aborted.reason;
}
