/** How long a mount may look for its content. */
import { expect, test } from 'vitest';
import type { ContentResolver } from '../../src/volumes/content-resolver.ts';
import { resolveForMount } from '../../src/volumes/resolve-for-mount.ts';
import { parseVolumeOptions } from '../../src/volumes/volume-options.ts';

const defaults = { prefetch: 'none', timeoutMs: 60_000 } as const;
const CONTENT = { cid: 'bafkqaaa', kind: 'file' } as const;

test.each([
  ['the default', {}, 24_000],
  ['a longer one', { timeout: '5m' }, 24_000],
  ['a shorter one', { timeout: '3s' }, 3000],
])('a block has no more time than the mount: %s', async (_what, options, expected) => {
  let timeoutMs: number | undefined;
  const resolver: ContentResolver = {
    resolveHere: async () => undefined,
    isHere: () => false,
    resolve: async (asked) => {
      timeoutMs = asked.timeoutMs;
      return CONTENT;
    },
  };
  expect(await resolveForMount(resolver, parseVolumeOptions('bafkqaaa', options, defaults))).toBe(CONTENT);
  expect(timeoutMs).toBe(expected);
});

test('a caller that goes ends it, with its own reason', async () => {
  const resolver: ContentResolver = {
    resolveHere: async () => undefined,
    isHere: () => false,
    resolve: (_options, signal) =>
      new Promise((_done, fail) => {
        signal.addEventListener('abort', () => fail(signal.reason));
      }),
  };
  const caller = new AbortController();
  const resolving = resolveForMount(resolver, parseVolumeOptions('bafkqaaa', {}, defaults), caller.signal);
  caller.abort(new Error('gone'));
  await expect(resolving).rejects.toThrow('gone');
});
