/**
 * The address of a Kubo node's RPC as users have it: a URL, or the multiaddr that Kubo itself prints and keeps in its
 * `api` file.
 */
import { isIPv6 } from 'node:net';
import { CodedError } from '../base/errors.ts';
import { type HttpEndpoint, parseEndpoint, withoutSecrets } from './http-endpoint.ts';

/** The multiaddrs that an HTTP API has: an address, a TCP port, and `http` understood where nothing is said. */
const MULTIADDR = /^\/(?:ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/(http|https|tls\/http))?\/?$/;

/**
 * The endpoint, up to and without `/api/v0`.
 * @throws CONFIG_INVALID; a `/unix/` address is refused too: kubo-rpc-client speaks TCP only.
 */
export function kuboEndpoint(rpc: string, authorization?: string): HttpEndpoint {
  const text = rpc.trim();
  const endpoint = parseEndpoint(text.startsWith('/') ? urlOfMultiaddr(text) : text, authorization);
  return { ...endpoint, url: endpoint.url.replace(/\/api\/v0$/, '') };
}

function urlOfMultiaddr(text: string): string {
  const [, host, port, protocol] = MULTIADDR.exec(text) ?? [];
  if (host === undefined) {
    throw new CodedError(
      'CONFIG_INVALID',
      `"${withoutSecrets(text)}" is not an RPC address such as /ip4/127.0.0.1/tcp/5001`,
    );
  }
  const scheme = protocol === undefined || protocol === 'http' ? 'http' : 'https';
  return `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
