/** CIDs from text in any multibase: `CID.parse` alone knows base32, base36 and base58. */
import { bases } from 'multiformats/basics';
import { CID } from 'multiformats/cid';
import type { MultibaseDecoder } from 'multiformats/interface';

/** What a CID can start with: the letters of the bases, and the Q of CIDv0. */
export const MULTIBASE_PREFIXES: ReadonlySet<string> = new Set([
  'Q',
  ...Object.values(bases).map(({ prefix }) => prefix),
]);

/** @throws Error with the library's own words for what is no CID. Hash functions are `checkCid`'s to judge. */
export function parseCidText(text: string): CID {
  // A CIDv0 has no multibase prefix; its Q is none.
  if (text.startsWith('Q')) return CID.parse(text);
  const base = Object.values(bases).find(({ prefix }) => text.startsWith(prefix));
  return base ? CID.parse(text, base as MultibaseDecoder<string>) : CID.parse(text);
}
