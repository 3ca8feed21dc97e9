/**
 * IPNS records themselves (https://specs.ipfs.tech/ipns/ipns-record/): whether one counts, which of several does, and
 * where it leads. The one file that knows the `ipns` package, and loaded with the first name that needs it: with the
 * cryptography under it, it takes 30 MB and most volumes have no name.
 */
import { multihashToIPNSRoutingKey, unmarshalIPNSRecord } from 'ipns';
import { ipnsSelector } from 'ipns/selector';
import { ipnsValidator } from 'ipns/validator';
import type { NameKey } from './name-key.ts';

/**
 * What is wrong with a record for `key`, `undefined` where it counts: signed by that key, in form, and not expired.
 * Takes any bytes.
 */
export async function recordFault(key: NameKey, record: Uint8Array): Promise<string | undefined> {
  try {
    await ipnsValidator(multihashToIPNSRoutingKey(key), record);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The path that the newest of these records holds, with the record; all have no fault, and there is at least one. */
export function newestRecord(key: NameKey, records: readonly Uint8Array[]): { record: Uint8Array; path: string } {
  // Highest sequence number, then the longest validity.
  const record = records[ipnsSelector(multihashToIPNSRoutingKey(key), [...records])] as Uint8Array;
  return { record, path: unmarshalIPNSRecord(record).value };
}
