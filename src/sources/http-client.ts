/**
 * Requests to one source over HTTP: authorized, bounded in time, ended on the wire when nobody waits for them.
 *
 * What always holds: errors are CodedErrors that name the source and never its secrets; a redirect is followed only to
 * where the same operator answers (see `redirectTarget`), once.
 */
import type { Dispatcher } from 'undici';
import { CodedError, type ErrorCode } from '../base/errors.ts';
import { httpAgent } from './http-agent.ts';
import { HttpAnswer } from './http-answer.ts';
import { endpointSecrets, type HttpEndpoint, proxySecrets } from './http-endpoint.ts';
import { type HttpTimeouts, httpFailure } from './http-failure.ts';
import { redirectTarget } from './http-redirect.ts';

/**
 * A connection stands within seconds or not at all. How long an answer may take is for the want's own deadline (60 s
 * by default) to say, so the bound on it only ends what nobody else would; a body that has begun and stops is broken.
 */
const DEFAULT_TIMEOUTS: HttpTimeouts = { connectMs: 10_000, answerMs: 300_000, stallMs: 15_000 };

/** Of what a server says about its errors: enough for Kubo's longest, which lists each address of a peer it dialled. */
const MAX_SHOWN_CHARACTERS = 600;

/** Of an answer to a ping, what is read: Kubo's version, or a page that says what is wrong. */
const MAX_PING_BYTES = 64 * 1024;

export interface HttpClientOptions {
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
  /** True where redirects to the CID's own subdomain are followed; otherwise none is. */
  readonly followRedirects?: boolean;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** Below the endpoint's URL, from its `/`; as it goes over the wire, where CIDs and keys need no encoding. */
  readonly path: string;
  /** `name=value&…`, encoded. */
  readonly query?: string;
  readonly accept?: string;
  readonly signal: AbortSignal;
}

export class HttpClient {
  /** As errors call the source, such as `gateway https://host.example`. */
  readonly name: string;
  readonly #endpoint: HttpEndpoint;
  readonly #url: URL;
  /** What stands before each request's path: '' or `/prefix`. */
  readonly #prefix: string;
  readonly #agent: Dispatcher;
  readonly #timeouts: HttpTimeouts;
  readonly #followRedirects: boolean;
  readonly #secrets: readonly string[];

  constructor(name: string, endpoint: HttpEndpoint, options: HttpClientOptions = {}) {
    this.name = name;
    this.#endpoint = endpoint;
    this.#url = new URL(endpoint.url);
    this.#prefix = this.#url.pathname.replace(/\/$/, '');
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    this.#followRedirects = options.followRedirects ?? false;
    this.#secrets = [...endpointSecrets(endpoint), ...proxySecrets(process.env)];
    this.#agent = httpAgent(this.#url, this.#timeouts);
  }

  /**
   * The answer, whatever its status but a redirect; its body is the caller's to read or discard.
   * @throws SOURCE_FAILED, ABORTED.
   */
  async ask(request: HttpRequest): Promise<HttpAnswer> {
    const path = this.#pathOf(request);
    const answer = await this.#send(this.#url.origin, path, request, true);
    if (answer.status < 300 || answer.status > 399) return answer;
    answer.discard();
    const { location } = answer.headers;
    const target = this.#followRedirects ? redirectTarget(new URL(path, this.#url), location) : undefined;
    if (target === undefined) throw this.failure(`redirects to ${shown(location)}, which is not followed`);
    const second = await this.#send(target.origin, `${target.pathname}${target.search}`, request, false);
    if (second.status < 300 || second.status > 399) return second;
    second.discard();
    throw this.failure('redirects for ever');
  }

  /** Resolves once anything comes, to its end; true where it is what was asked for, or that there is none. @throws as `ask` */
  async ping(request: HttpRequest): Promise<boolean> {
    const answer = await this.ask(request);
    await answer.bytes(MAX_PING_BYTES);
    return answer.status === 200 || answer.status === 404;
  }

  /** An error in this source's name. What servers say goes on one line, without our secrets if they repeat them. */
  failure(what: string, code: ErrorCode = 'SOURCE_FAILED'): CodedError {
    const shownText = this.#secrets.reduce((text, secret) => text.replaceAll(secret, '…'), what);
    const line = shownText.replace(/[\p{C}\s]+/gu, ' ').slice(0, MAX_SHOWN_CHARACTERS);
    return new CodedError(code, `${this.name} ${line}`);
  }

  /** What the network threw, in this source's name: see `httpFailure`. */
  explain(error: unknown, signal: AbortSignal): CodedError {
    return httpFailure(this.name, error, signal, this.#timeouts);
  }

  /** Ends what is in flight and closes the sockets. Idempotent. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** Put together as text: requests come by the thousand, and a URL costs as much as all else that is done for one. */
  #pathOf({ path, query = '' }: HttpRequest): string {
    const own = this.#endpoint.query;
    const whole = own && query ? `${own}&${query}` : own || query;
    return `${this.#prefix}${path}${whole && `?${whole}`}`;
  }

  /** `home` is the source's own host; a redirect's is not worth a lasting connection: each CID has one. */
  async #send(
    origin: string,
    path: string,
    { method, accept, signal }: HttpRequest,
    home: boolean,
  ): Promise<HttpAnswer> {
    const headers: Record<string, string> = { 'user-agent': 'docker-volume-ipfs' };
    if (accept !== undefined) headers.accept = accept;
    if (this.#endpoint.authorization !== undefined) headers.authorization = this.#endpoint.authorization;
    // Kubo's gateway sends `localhost`, and no other name of this machine, on to a subdomain: a round trip a block.
    const { hostname, port } = this.#url;
    if (home && hostname === 'localhost') headers.host = port ? `127.0.0.1:${port}` : '127.0.0.1';
    const translate = (error: unknown) => this.explain(error, signal);
    try {
      const response = await this.#agent.request({ origin, path, method, headers, signal, reset: !home });
      return new HttpAnswer(response, translate);
    } catch (error) {
      throw translate(error);
    }
  }
}

/** A redirect's target without query and credentials, on one line and short. */
function shown(location: string | string[] | undefined): string {
  const text = String(location ?? 'nowhere')
    .replace(/\/\/[^/]*@/, '//')
    .replace(/[?#].*$/s, '');
  return text.replace(/\p{C}+/gu, ' ').slice(0, 100);
}
