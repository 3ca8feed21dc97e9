/** Which blocks of some content are on this machine: what eviction and unpinning go by. Fetches nothing. */
import type { CID } from 'multiformats/cid';
import type { BlockKey } from '../blocks/block.ts';
import { BlockTally } from '../blocks/block-tally.ts';
import { FingerprintSet } from '../blocks/fingerprint-set.ts';
import { contentKey } from '../unixfs/content-key.ts';
import { type FillParts, fill } from './fill.ts';
import { Plan } from './plan.ts';

/** Keys of what is here of `root` and of none of `others`; `onShared` is told which of these has any of it. @throws ABORTED */
export async function ownKeys(
  parts: FillParts,
  root: CID,
  others: readonly CID[],
  signal: AbortSignal,
  onShared: (other: CID) => void = () => {},
): Promise<BlockKey[]> {
  // Volumes of one root are common, and need no look.
  const twin = others.find((other) => other.equals(root));
  if (twin) {
    onShared(twin);
    return [];
  }
  const keys: BlockKey[] = [];
  const own = new FingerprintSet();
  await visitHere(parts, root, signal, (key) => {
    own.add(key);
    keys.push(key);
  });
  const shared = new FingerprintSet();
  for (const other of new Map(others.map((cid) => [`${cid}`, cid])).values()) {
    let sharing = false;
    await visitHere(parts, other, signal, (key) => {
      if (!own.has(key)) return;
      shared.add(key);
      sharing = true;
    });
    if (sharing) onShared(other);
  }
  return keys.filter((key) => !shared.has(key));
}

async function visitHere(
  parts: FillParts,
  root: CID,
  signal: AbortSignal,
  visit: (key: BlockKey) => void,
): Promise<void> {
  await fill(parts, new Plan(contentKey(root)), {
    priority: 'background',
    tally: new BlockTally(),
    signal,
    fetch: false,
    onHere: visit,
  });
}
