/**
 * Blocks of a Kubo node, over its RPC.
 *
 * Kubo is asked with plain HTTP, `POST /api/v0/block/get`: the layers of kubo-rpc-client cost two to three times the
 * processor time, and blocks come by the hundred thousand (control goes through it: `kubo-control.ts`).
 *
 * An online Kubo never says that it has no such block: it looks for one until we hang up. Asking it `offline` first
 * would tell at once whether the block is there, but costs every block that isn't another round trip before the search
 * even starts. So it is asked once, in full; the want queue asks another source beside it where it takes long, and the
 * want's time-out ends the search.
 */
import type { CID } from 'multiformats/cid';
import type { CodedError } from '../base/errors.ts';
import { MAX_BLOCK_BYTES } from '../blocks/block.ts';
import type { BlockSource, FetchOptions } from '../blocks/block-source.ts';
import type { HttpAnswer } from './http-answer.ts';
import { HttpClient } from './http-client.ts';
import type { HttpTimeouts } from './http-failure.ts';
import { kuboEndpoint } from './kubo-endpoint.ts';

export interface KuboOptions {
  /** A URL, or a multiaddr such as `/ip4/127.0.0.1/tcp/5001`. */
  readonly rpc: string;
  /** Value of the `Authorization` header: `Basic …`, `Bearer …`. */
  readonly authorization?: string | undefined;
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
  /** As `BlockSource` has it. */
  readonly optional?: boolean | undefined;
}

/** Opens nothing until the first block is asked for. @throws CONFIG_INVALID for an address that cannot be read. */
export function kuboSource({ rpc, authorization, timeouts, optional }: KuboOptions): BlockSource {
  const endpoint = kuboEndpoint(rpc, authorization);
  return new KuboSource(new HttpClient(`kubo ${endpoint.url}`, endpoint, { timeouts }), optional);
}

class KuboSource implements BlockSource {
  readonly name: string;
  readonly optional: boolean | undefined;
  readonly #http: HttpClient;

  constructor(http: HttpClient, optional: boolean | undefined) {
    this.name = http.name;
    this.optional = optional;
    this.#http = http;
  }

  async getBlock(cid: CID, { signal, onBytes }: FetchOptions): Promise<Uint8Array> {
    const query = `arg=${cid}`;
    const answer = await this.#http.ask({ method: 'POST', path: '/api/v0/block/get', query, signal });
    if (answer.status !== 200) throw await kuboRefusal(this.#http, answer, cid);
    if (!speaksKubo(answer)) {
      answer.discard();
      throw notKubo(this.#http, answer);
    }
    const bytes = await answer.bytes(MAX_BLOCK_BYTES, onBytes);
    if (bytes !== undefined) return bytes;
    throw this.#http.failure(`sends more than ${MAX_BLOCK_BYTES} bytes for block ${cid}`, 'BLOCK_TOO_LARGE');
  }

  ping({ signal }: { readonly signal: AbortSignal }): Promise<boolean> {
    return this.#http.ping({ method: 'POST', path: '/api/v0/version', signal });
  }

  close(): Promise<void> {
    return this.#http.close();
  }
}

/** Kubo marks what it streams; `Server` is there as well unless a proxy replaced it. */
function speaksKubo({ headers }: HttpAnswer): boolean {
  return headers['x-stream-output'] !== undefined || /^(kubo|go-ipfs)\//.test(String(headers.server ?? ''));
}

function notKubo(http: HttpClient, answer: HttpAnswer): CodedError {
  const what = answer.type === '' ? '' : ` of type ${answer.type}`;
  return http.failure(`is not a Kubo RPC: it answers ${answer.status} with something else${what}`);
}

/** What an answer other than 200 means. Kubo's own are JSON: `{"Message": …, "Code": 0, "Type": "error"}`. */
async function kuboRefusal(http: HttpClient, answer: HttpAnswer, cid: CID): Promise<CodedError> {
  const text = await answer.text();
  if (answer.status === 401 || answer.status === 403)
    return http.failure(`refuses the authorization (${answer.status}): ${text}`);
  const message = answer.type === 'application/json' ? messageOf(text) : undefined;
  if (message === undefined && !speaksKubo(answer)) return notKubo(http, answer);
  // "block was not found locally (offline): ipld: could not find CID", "routing: not found".
  if (message !== undefined && /\bnot found\b|could not find/.test(message)) {
    return http.failure(`has no block ${cid}: ${message}`, 'BLOCK_UNAVAILABLE');
  }
  return http.failure(`answers ${answer.status}: ${message ?? text}`);
}

function messageOf(json: string): string | undefined {
  try {
    const message: unknown = JSON.parse(json)?.Message;
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}
