/** Which blocks of some content are on this machine: what eviction and unpinning go by. Fetches nothing. */
import type { CID } from 'multiformats/cid';
import type { BlockKey } from '../blocks/block.ts';
import { BlockTally } from '../blocks/block-tally.ts';
import { FingerprintSet } from '../blocks/fingerprint-set.ts';
import { contentKey } from '../unixfs/content-key.ts';
import { type FillParts, fill } from './fill.ts';
import { Plan } from './plan.ts';

/** Keys of what is here of `root` and of none of `others`. @throws ABORTED */
export async function ownKeys(
  parts: FillParts,
  root: CID,
  others: readonly CID[],
  signal: AbortSignal,
): Promise<BlockKey[]> {
  const shared = new FingerprintSet();
  for (const other of others) await visitHere(parts, other, signal, (key) => shared.add(key));
  const keys: BlockKey[] = [];
  await visitHere(parts, root, signal, (key) => {
    if (!shared.has(key)) keys.push(key);
  });
  return keys;
}

async function visitHere(
  parts: FillParts,
  root: CID,
  signal: AbortSignal,
  visit: (key: BlockKey) => void,
): Promise<void> {
  await fill(parts, new Plan(contentKey(root)), {
    root,
    priority: 'background',
    tally: new BlockTally(),
    signal,
    fetch: false,
    onHere: visit,
  });
}
