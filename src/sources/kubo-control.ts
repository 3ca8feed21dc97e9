/**
 * What we ask of a Kubo node besides blocks: its version, names, connections to peers, pins. The one file that knows
 * kubo-rpc-client.
 *
 * That client reads answers whole and without a bound, and follows redirects. It is therefore only let loose on an
 * address that has proved to be Kubo: `version` asks in our own bounded way, and comes before everything else, once.
 * It is loaded then, too: it is large, and most machines have no Kubo.
 */
import type { KuboRPCClient } from 'kubo-rpc-client';
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import { HttpClient } from './http-client.ts';
import type { KuboOptions } from './kubo.ts';
import { kuboEndpoint } from './kubo-endpoint.ts';

/** The longest that Kubo itself looks for a name or dials a peer is a minute. */
const CALL_TIMEOUT_MS = 65_000;
const VERSION_TIMEOUT_MS = 5_000;
/** A version is 150 bytes. */
const MAX_VERSION_BYTES = 16 * 1024;

/** By it we know our own pins: `pin rm` would take away the one that somebody else relies on. */
const PIN_NAME = 'ipfs-volume';
/** One pin, with a name of up to 255 bytes. */
const MAX_PIN_BYTES = 16 * 1024;

/** Kubo's own option, unknown to the client's types, which hands it through. */
const NOT_STREAMED = { stream: false } as const;

interface CallOptions {
  readonly signal: AbortSignal;
}

/** All throw SOURCE_FAILED with what Kubo says, or ABORTED. */
export interface KuboControl {
  readonly name: string;
  /** Such as `0.43.1`. Within seconds: it also tells whether a Kubo answers there at all. */
  version(options: CallOptions): Promise<string>;
  /** The `/ipfs/CID[/path]` that an IPNS or DNSLink name leads to, all the way. NAME_UNRESOLVED where Kubo finds none. */
  resolveName(name: string, options: CallOptions): Promise<string>;
  /** Connects Kubo to a peer: a multiaddr that ends in `/p2p/ID`. */
  connect(peer: string, options: CallOptions): Promise<void>;
  /**
   * Pins the whole DAG under our name, which Kubo fetches first where it has to: bounded by `signal` alone. A pin that
   * somebody else made is left as it is, and serves as well.
   */
  pin(root: CID, options: CallOptions): Promise<void>;
  /** Takes our pin away; none being there is as good, and one of somebody else's stays. */
  unpin(root: CID, options: CallOptions): Promise<void>;
  close(): Promise<void>;
}

/** Opens nothing until the first call. @throws CONFIG_INVALID for an address that cannot be read. */
export function kuboControl({ rpc, authorization, timeouts }: KuboOptions): KuboControl {
  const { url, ...secrets } = kuboEndpoint(rpc, authorization);
  const http = new HttpClient(`kubo ${url}`, { url, ...secrets }, { timeouts });
  const connect = async (): Promise<KuboRPCClient> => {
    const { create } = await import('kubo-rpc-client');
    const headers = secrets.authorization === undefined ? {} : { authorization: secrets.authorization };
    return create({ url: `${url}/api/v0`, headers });
  };
  return new RpcControl(http, connect);
}

class RpcControl implements KuboControl {
  readonly name: string;
  readonly #http: HttpClient;
  readonly #connect: () => Promise<KuboRPCClient>;
  #client: KuboRPCClient | undefined;

  constructor(http: HttpClient, connect: () => Promise<KuboRPCClient>) {
    this.name = http.name;
    this.#http = http;
    this.#connect = connect;
  }

  async version({ signal }: CallOptions): Promise<string> {
    const timed = AbortSignal.any([signal, AbortSignal.timeout(VERSION_TIMEOUT_MS)]);
    try {
      const answer = await this.#http.ask({ method: 'POST', path: '/api/v0/version', signal: timed });
      if (answer.status === 401 || answer.status === 403) {
        throw this.#http.failure(`refuses the authorization (${answer.status}): ${await answer.text()}`);
      }
      const body = await answer.bytes(MAX_VERSION_BYTES);
      const version = answer.status === 200 && body !== undefined ? versionIn(body) : undefined;
      if (version !== undefined) return version;
      throw this.#http.failure(`is not a Kubo RPC: it answers ${answer.status} ${answer.type} when asked its version`);
    } catch (error) {
      throw this.#translate(error, signal, timed, VERSION_TIMEOUT_MS);
    }
  }

  async resolveName(name: string, { signal }: CallOptions): Promise<string> {
    return await this.#call(signal, CALL_TIMEOUT_MS, async (client, timed) => {
      let path: unknown;
      try {
        // Streamed, an error would arrive in a trailer, which the client does not look at. One answer comes then.
        for await (path of client.name.resolve(name, { signal: timed, ...NOT_STREAMED }));
      } catch (error) {
        if (!isSaidByKubo(error)) throw error;
        throw this.#http.failure(`says: ${error.message}`, 'NAME_UNRESOLVED');
      }
      if (isContentPath(path)) return path;
      throw this.#http.failure(`answers with no path for the name ${name}`);
    });
  }

  async connect(peer: string, { signal }: CallOptions): Promise<void> {
    const { multiaddr } = await import('kubo-rpc-client');
    await this.#call(signal, CALL_TIMEOUT_MS, (client, timed) =>
      client.swarm.connect(multiaddr(peer), { signal: timed }),
    );
  }

  async pin(root: CID, { signal }: CallOptions): Promise<void> {
    const name = await this.#pinName(root, signal);
    if (name !== undefined && name !== PIN_NAME) return;
    await this.#call(signal, undefined, (client, timed) => client.pin.add(root, { name: PIN_NAME, signal: timed }));
  }

  async unpin(root: CID, { signal }: CallOptions): Promise<void> {
    if ((await this.#pinName(root, signal)) !== PIN_NAME) return;
    await this.#call(signal, CALL_TIMEOUT_MS, async (client, timed) => {
      try {
        await client.pin.rm(root, { signal: timed });
      } catch (error) {
        if (!isSaidByKubo(error) || !error.message.startsWith('not pinned')) throw error;
      }
    });
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  /** Of the root's own (recursive) pin, '' for one without; undefined where there is none. */
  async #pinName(root: CID, signal: AbortSignal): Promise<string | undefined> {
    const timed = AbortSignal.any([signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
    try {
      const query = `arg=${root}&type=recursive&names=true`;
      const answer = await this.#http.ask({ method: 'POST', path: '/api/v0/pin/ls', query, signal: timed });
      const text = Buffer.from((await answer.bytes(MAX_PIN_BYTES)) ?? new Uint8Array()).toString();
      if (answer.status === 500 && text.includes('is not pinned')) return undefined;
      const name = answer.status === 200 ? pinNameIn(text) : undefined;
      if (name !== undefined) return name;
      throw this.#http.failure(`answers ${answer.status} when asked for the pin of ${root}`);
    } catch (error) {
      throw this.#translate(error, signal, timed, CALL_TIMEOUT_MS);
    }
  }

  async #call<T>(
    signal: AbortSignal,
    timeoutMs: number | undefined,
    run: (client: KuboRPCClient, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#client === undefined) {
      await this.version({ signal });
      this.#client = await this.#connect();
    }
    const timed = timeoutMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      return await run(this.#client, timed);
    } catch (error) {
      throw this.#translate(error, signal, timed, timeoutMs);
    }
  }

  #translate(error: unknown, signal: AbortSignal, timed: AbortSignal, timeoutMs = 0): CodedError {
    if (signal.aborted) return new CodedError('ABORTED', `the call to ${this.name} was dropped`, { cause: error });
    if (timed.aborted) return this.#http.failure(`did not answer within ${timeoutMs / 1000} s`);
    return isSaidByKubo(error) ? this.#http.failure(`says: ${error.message}`) : this.#http.explain(error, signal);
  }
}

function versionIn(body: Uint8Array): string | undefined {
  try {
    const version: unknown = JSON.parse(Buffer.from(body).toString())?.Version;
    return typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}

/** `{"Keys":{"bafy…":{"Type":"recursive","Name":"…"}}}` */
function pinNameIn(text: string): string | undefined {
  try {
    const [pin] = Object.values(JSON.parse(text).Keys as Record<string, { Name?: string }>);
    return pin && (pin.Name ?? '');
  } catch {
    return undefined;
  }
}

function isContentPath(path: unknown): path is string {
  return typeof path === 'string' && path.startsWith('/ipfs/');
}

/** An error that Kubo answered with, as against one on the way to it. */
function isSaidByKubo(error: unknown): error is Error {
  return error instanceof Error && error.name === 'HTTPError';
}
