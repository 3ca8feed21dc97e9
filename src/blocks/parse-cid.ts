/** CIDs from text in any multibase: `CID.parse` alone knows base32, base36 and base58. */
import { bases } from 'multiformats/basics';
import { CID } from 'multiformats/cid';
import type { MultibaseDecoder } from 'multiformats/interface';

/** @throws Error with the library's own words for what is no CID. Hash functions are `checkCid`'s to judge. */
export function parseCidText(text: string): CID {
  // A CIDv0 has no multibase prefix; its Q is none.
  if (text.startsWith('Q')) return CID.parse(text);
  const base = Object.values(bases).find(({ prefix }) => text.startsWith(prefix));
  return base ? CID.parse(text, base as MultibaseDecoder<string>) : CID.parse(text);
}
