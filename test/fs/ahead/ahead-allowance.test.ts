/** What is brought on a guess is paid for by what came, and by nothing else. */
import { expect, test } from 'vitest';
import { AheadAllowance } from '../../../src/fs/ahead/ahead-allowance.ts';
import { BlockMap } from '../../support/block-map.ts';
import { makeBlock } from '../../support/make-block.ts';

const MIB = 1024 ** 2;
const want = { priority: 'readahead' } as const;

test('who claims little pays for what came, and what did not come costs nothing', async () => {
  const blocks = new BlockMap();
  const here = makeBlock(new Uint8Array(MIB));
  blocks.put(here.cid, here.bytes);
  const allowance = new AheadAllowance();
  await allowance.bring(blocks, here.cid, 1000, want);
  expect([allowance.covers(31 * MIB), allowance.covers(31 * MIB + 1)]).toEqual([true, false]);
  // An outage: each of them fails.
  for (let tries = 0; tries < 100; tries++) await allowance.bring(blocks, makeBlock(`${tries}`).cid, MIB, want);
  expect([allowance.covers(31 * MIB), allowance.covers(31 * MIB + 1)]).toEqual([true, false]);
  allowance.read(MIB / 8);
  expect([allowance.covers(31.5 * MIB), allowance.covers(31.5 * MIB + 1)]).toEqual([true, false]);
});
