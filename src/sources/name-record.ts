/**
 * IPNS records from gateways, believed only as far as their signatures go.
 *
 * Gateways hand out records as they are (`format=ipns-record`), so that each is checked here against the name's own
 * key: a gateway can keep a record back, or hand out an old one that is still valid, but it cannot make one up. Several
 * are asked, and the newest record wins, also against one that was seen before.
 */
import { LRUCache } from 'lru-cache';
import { CodedError, messageChain } from '../base/errors.ts';
import type { HttpClient } from './http-client.ts';
import { formatNameKey, type NameKey } from './name-key.ts';

const RECORD = 'application/vnd.ipfs.ipns-record';
/** https://specs.ipfs.tech/ipns/ipns-record/#record-size-limit */
const MAX_RECORD_BYTES = 10 * 1024;
/** A gateway looks a name up in the DHT, which takes seconds. */
const GATEWAY_TIMEOUT_MS = 20_000;
/** How long a valid record waits for others that may be newer. */
const GRACE_MS = 1_000;
/** Names whose last record is remembered. */
const REMEMBERED_NAMES = 1_000;

export class NameRecords {
  readonly #gateways: readonly HttpClient[];
  readonly #seen = new LRUCache<string, Uint8Array>({ max: REMEMBERED_NAMES });

  constructor(gateways: readonly HttpClient[]) {
    this.#gateways = gateways;
  }

  /**
   * The path that the newest valid record of `key` holds: `/ipfs/…` or `/ipns/…`.
   * @throws NAME_UNRESOLVED with what each gateway said, ABORTED.
   */
  async resolve(key: NameKey, { signal }: { readonly signal: AbortSignal }): Promise<string> {
    const { newestRecord, recordFault } = await import('./name-ipns.ts');
    const name = formatNameKey(key);
    const { records, failures } = await this.#collect(key, name, signal);
    if (signal.aborted) throw new CodedError('ABORTED', `resolving ${name} was dropped`);
    if (records.length === 0) throw new CodedError('NAME_UNRESOLVED', failures.join('; ') || 'no gateways to ask');
    const seen = this.#seen.get(name);
    // One that has expired meanwhile is worth nothing, however new.
    if (seen !== undefined && (await recordFault(key, seen)) === undefined) records.push(seen);
    const { record, path } = newestRecord(key, records);
    this.#seen.set(name, record);
    return path;
  }

  async close(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.close()));
  }

  /** Asks all gateways; what is valid of their answers until all have answered, or the first has waited long enough. */
  async #collect(key: NameKey, name: string, signal: AbortSignal) {
    const records: Uint8Array[] = [];
    const failures: string[] = [];
    const enough = new AbortController();
    const timed = AbortSignal.any([signal, enough.signal, AbortSignal.timeout(GATEWAY_TIMEOUT_MS)]);
    let grace: NodeJS.Timeout | undefined;
    await Promise.all(
      this.#gateways.map(async (gateway) => {
        try {
          records.push(await fetchRecord(gateway, key, name, timed));
          grace ??= setTimeout(() => enough.abort(), GRACE_MS);
        } catch (error) {
          const tooLate = timed.aborted && !signal.aborted;
          failures.push(tooLate ? `${gateway.name} did not answer in time` : messageChain(error));
        }
      }),
    );
    clearTimeout(grace);
    return { records, failures };
  }
}

async function fetchRecord(gateway: HttpClient, key: NameKey, name: string, signal: AbortSignal): Promise<Uint8Array> {
  const path = `/ipns/${name}`;
  const answer = await gateway.ask({ method: 'GET', path, query: 'format=ipns-record', accept: RECORD, signal });
  if (answer.status !== 200 || answer.type !== RECORD) {
    const text = await answer.text();
    throw gateway.failure(`answers ${answer.status} ${answer.type}${text === '' ? '' : `: ${text}`}`);
  }
  const record = await answer.bytes(MAX_RECORD_BYTES);
  if (record === undefined) throw gateway.failure(`sends an IPNS record of more than ${MAX_RECORD_BYTES} bytes`);
  const { recordFault } = await import('./name-ipns.ts');
  const fault = await recordFault(key, record);
  if (fault !== undefined) throw gateway.failure(`sends an IPNS record that is not valid: ${fault}`);
  return record;
}
