/**
 * Blocks of a trustless gateway (https://specs.ipfs.tech/http-gateways/trustless-gateway/): one at a time with
 * `format=raw`, or those of a range of a file in one answer with `format=car` (IPIP-402).
 *
 * "Trustless" is about us: nothing it sends is believed. A body that is plainly something else (a web page, an error
 * in JSON) is told as a failure here, because that is an operator's trouble and not an attack; everything else is for
 * verification to judge.
 */
import type { CID } from 'multiformats/cid';
import type { CodedError } from '../base/errors.ts';
import { type Block, MAX_BLOCK_BYTES } from '../blocks/block.ts';
import { type DagScope, type FetchOptions, type RangeSource, scopeBytes } from '../blocks/block-source.ts';
import { type Clock, systemClock } from '../blocks/clock.ts';
import { verifyBlock } from '../blocks/verify.ts';
import { gatewayCarBlocks } from './gateway-car.ts';
import { retryAfterMs } from './gateway-retry-after.ts';
import type { HttpAnswer } from './http-answer.ts';
import { HttpClient } from './http-client.ts';
import { parseEndpoint } from './http-endpoint.ts';
import type { HttpTimeouts } from './http-failure.ts';

export interface GatewayOptions {
  /** Up to and without `/ipfs`. May hold credentials, which are sent as `Authorization` and shown nowhere. */
  readonly url: string;
  /** Value of the `Authorization` header, where the URL has no credentials. */
  readonly authorization?: string | undefined;
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
  readonly clock?: Pick<Clock, 'nowMs'>;
}

/** Opens nothing until the first block is asked for. @throws CONFIG_INVALID for a URL that cannot be read. */
export function gatewaySource(options: GatewayOptions): RangeSource {
  return new GatewaySource(gatewayClient(options), options.clock ?? systemClock);
}

/** Requests to a gateway: for blocks here, for IPNS records in `name-record.ts`. */
export function gatewayClient({ url, authorization, timeouts }: GatewayOptions): HttpClient {
  const endpoint = parseEndpoint(url, authorization);
  const base = { ...endpoint, url: endpoint.url.replace(/\/ipfs$/, '') };
  return new HttpClient(`gateway ${base.url}`, base, { timeouts, followRedirects: true });
}

const RAW = 'application/vnd.ipld.raw';
const CAR = 'application/vnd.ipld.car';
const RAW_QUERY = 'format=raw';

/** The empty identity block, which the specification names as the probe. */
const PING_PATH = '/ipfs/bafkqaaa';

/** Types under which a body may be what was asked for: caches and static file servers know no better one. */
const RAW_TYPES: ReadonlySet<string> = new Set([RAW, 'application/octet-stream', '']);
const CAR_TYPES: ReadonlySet<string> = new Set([CAR, 'application/octet-stream', '']);

/** "I have no such thing", "gone", "not for legal reasons": answers, where every other status is trouble. */
const UNAVAILABLE_STATUSES: ReadonlySet<number> = new Set([404, 410, 451]);

/** How a gateway, or the cache before it, refuses a format that it does not have. */
const CARLESS_STATUSES: ReadonlySet<number> = new Set([400, 405, 406, 415, 501]);
/** What it serves changes with its next release, not sooner. */
const CARLESS_MS = 10 * 60_000;

class GatewaySource implements RangeSource {
  readonly name: string;
  readonly #http: HttpClient;
  readonly #clock: Pick<Clock, 'nowMs'>;
  /** Until then the gateway asked to be left alone. */
  #quietUntilMs = 0;
  /** Until then it is not asked for CARs: it may serve blocks alone, which is no fault of its. */
  #carlessUntilMs = 0;

  constructor(http: HttpClient, clock: Pick<Clock, 'nowMs'>) {
    this.name = http.name;
    this.#http = http;
    this.#clock = clock;
  }

  async getBlock(cid: CID, { signal, onBytes }: FetchOptions): Promise<Uint8Array> {
    const answer = await this.#ask(`${cid}`, RAW_QUERY, RAW, signal);
    this.#checkType(answer, RAW_TYPES);
    const bytes = await answer.bytes(MAX_BLOCK_BYTES, onBytes);
    if (bytes === undefined) {
      throw this.#http.failure(`sends more than ${MAX_BLOCK_BYTES} bytes for block ${cid}`, 'BLOCK_TOO_LARGE');
    }
    if (bytes.length === 0 && !isEmptyBlock(cid)) {
      throw this.#http.failure(`answers 200 with an empty body for block ${cid}`);
    }
    return bytes;
  }

  async *getRange(root: CID, scope: DagScope, { signal, onBytes }: FetchOptions): AsyncGenerator<Block> {
    if (this.#clock.nowMs() < this.#carlessUntilMs) return;
    const path = scope.entry === undefined ? `${root}` : `${root}/${encodeURIComponent(scope.entry)}`;
    // Depth first is the order in which readers need them; a block that stands twice is sent once.
    const answer = await this.#ask(path, carQuery(scope), `${CAR};version=1;order=dfs;dups=n`, signal);
    this.#checkType(answer, CAR_TYPES);
    yield* gatewayCarBlocks(this.#http, answer.chunks(onBytes), scopeBytes(scope));
  }

  ping({ signal }: { readonly signal: AbortSignal }): Promise<boolean> {
    return this.#http.ping({ method: 'GET', path: PING_PATH, query: RAW_QUERY, accept: RAW, signal });
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  /** The answer with status 200 to a request for `path`. @throws as `getBlock` does for every other. */
  async #ask(path: string, query: string, accept: string, signal: AbortSignal): Promise<HttpAnswer> {
    const quietMs = this.#quietUntilMs - this.#clock.nowMs();
    if (quietMs > 0) throw this.#http.failure(`asked not to be asked for another ${Math.ceil(quietMs / 1000)} s`);
    const answer = await this.#http.ask({ method: 'GET', path: `/ipfs/${path}`, query, accept, signal });
    if (query !== RAW_QUERY && CARLESS_STATUSES.has(answer.status)) {
      answer.discard();
      this.#carlessUntilMs = this.#clock.nowMs() + CARLESS_MS;
      throw this.#http.failure(`sends no CARs (${answer.status})`, 'BLOCK_UNAVAILABLE');
    }
    if (answer.status !== 200) throw await this.#refusal(answer, path);
    return answer;
  }

  async #refusal(answer: HttpAnswer, path: string): Promise<CodedError> {
    const { status, headers } = answer;
    const text = await answer.text();
    const said = text === '' ? '' : `: ${text}`;
    if (UNAVAILABLE_STATUSES.has(status)) {
      return this.#http.failure(`has no block ${path} (${status})${said}`, 'BLOCK_UNAVAILABLE');
    }
    if (status === 429 || status === 503) {
      const quietMs = retryAfterMs(headers['retry-after'], Date.now());
      this.#quietUntilMs = Math.max(this.#quietUntilMs, this.#clock.nowMs() + quietMs);
    }
    if (status === 429) return this.#http.failure(`limits how often it may be asked (429)${said}`);
    if (status === 401 || status === 403) return this.#http.failure(`refuses the authorization (${status})${said}`);
    return this.#http.failure(`answers ${status}${said}`);
  }

  #checkType(answer: HttpAnswer, allowed: ReadonlySet<string>): void {
    if (allowed.has(answer.type)) return;
    answer.discard();
    throw this.#http.failure(`answers 200 with ${answer.type}: it serves no trustless content there`);
  }
}

function carQuery(scope: DagScope): string {
  const part = 'treeBytes' in scope ? 'dag-scope=all' : `dag-scope=entity&entity-bytes=${scope.from}:${scope.to}`;
  return `format=car&${part}`;
}

/** True where the block of `cid` is nothing: real content (an empty file with raw leaves), by whatever hash function. */
function isEmptyBlock(cid: CID): boolean {
  try {
    verifyBlock(cid, new Uint8Array());
    return true;
  } catch {
    return false;
  }
}
