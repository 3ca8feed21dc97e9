/** A download by a program that knows of no priorities: all blocks below a CID, in order, some at once, and keeps nothing. */
import { decode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';

const DAG_PB = 0x70;

export async function downloadBelow(
  root: string,
  atOnce: number,
  getBlock: (cid: string) => Promise<Uint8Array>,
): Promise<void> {
  const wanted = [root];
  const fetchNext = async (): Promise<void> => {
    const cid = wanted.shift();
    if (cid === undefined) return;
    const bytes = await getBlock(cid);
    if (CID.parse(cid).code === DAG_PB) for (const { Hash } of decode(bytes).Links) wanted.push(Hash.toString());
  };
  const worker = async (): Promise<void> => {
    while (wanted.length > 0) await fetchNext();
  };
  // One at a time until there is work for all.
  while (wanted.length > 0 && wanted.length < atOnce) await fetchNext();
  await Promise.all(Array.from({ length: atOnce }, worker));
}
