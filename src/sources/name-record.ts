/**
 * IPNS records from gateways, believed only as far as their signatures go.
 *
 * Gateways hand out records as they are (`format=ipns-record`), so that each is checked here against the name's own
 * key: a gateway can keep a record back, or hand out an old one that is still valid, but it cannot make one up. Several
 * are asked, and the newest record wins, also against one that was seen before.
 */
import { multihashToIPNSRoutingKey, unmarshalIPNSRecord } from 'ipns';
import { ipnsSelector } from 'ipns/selector';
import { ipnsValidator } from 'ipns/validator';
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
    const name = formatNameKey(key);
    const routingKey = multihashToIPNSRoutingKey(key);
    const { records, failures } = await this.#collect(name, routingKey, signal);
    if (signal.aborted) throw new CodedError('ABORTED', `resolving ${name} was dropped`);
    const [first] = records;
    if (first === undefined) throw new CodedError('NAME_UNRESOLVED', failures.join('; ') || 'no gateways to ask');
    const seen = this.#seen.get(name);
    // One that has expired meanwhile is worth nothing, however new.
    if (seen !== undefined && (await isValid(routingKey, seen))) records.push(seen);
    const best = records[ipnsSelector(routingKey, records)] ?? first;
    this.#seen.set(name, best);
    return unmarshalIPNSRecord(best).value;
  }

  async close(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.close()));
  }

  /** Asks all gateways; what is valid of their answers until all have answered, or the first has waited long enough. */
  async #collect(name: string, routingKey: Uint8Array, signal: AbortSignal) {
    const records: Uint8Array[] = [];
    const failures: string[] = [];
    const enough = new AbortController();
    const timed = AbortSignal.any([signal, enough.signal, AbortSignal.timeout(GATEWAY_TIMEOUT_MS)]);
    let grace: NodeJS.Timeout | undefined;
    await Promise.all(
      this.#gateways.map(async (gateway) => {
        try {
          records.push(await fetchRecord(gateway, name, routingKey, timed));
          grace ??= setTimeout(() => enough.abort(), GRACE_MS);
        } catch (error) {
          failures.push(messageChain(error));
        }
      }),
    );
    clearTimeout(grace);
    return { records, failures };
  }
}

async function fetchRecord(
  gateway: HttpClient,
  name: string,
  routingKey: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const query = { format: 'ipns-record' };
  const answer = await gateway.ask({ method: 'GET', path: `/ipns/${name}`, query, accept: RECORD, signal });
  if (answer.status !== 200 || answer.type !== RECORD) {
    const text = await answer.text();
    throw gateway.failure(`answers ${answer.status} ${answer.type}${text === '' ? '' : `: ${text}`}`);
  }
  const record = await answer.bytes(MAX_RECORD_BYTES);
  if (record === undefined) throw gateway.failure(`sends an IPNS record of more than ${MAX_RECORD_BYTES} bytes`);
  try {
    await ipnsValidator(routingKey, record);
  } catch (error) {
    throw gateway.failure(`sends an IPNS record that is not valid: ${error instanceof Error ? error.message : error}`);
  }
  return record;
}

async function isValid(routingKey: Uint8Array, record: Uint8Array): Promise<boolean> {
  try {
    await ipnsValidator(routingKey, record);
    return true;
  } catch {
    return false;
  }
}
