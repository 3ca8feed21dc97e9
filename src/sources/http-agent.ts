/**
 * The sockets of one source: keep-alive pools, the proxies of the environment, and time-outs on all that can stall.
 */
import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import type { HttpTimeouts } from './http-failure.ts';

/**
 * Sockets to one host at most. The want queue decides how many requests run (2048 at its most, where a node searches for
 * as many absent blocks): with fewer sockets than that, searches would keep the sockets from blocks that are there.
 */
const MAX_CONNECTIONS = 2560;

/**
 * The dispatcher for requests to `url` and to hosts below it.
 *
 * HTTP/1.1 only: HTTP/2 would send every block down one connection, where one lost packet holds up all of them and the
 * throughput is one congestion window's.
 *
 * HTTP_PROXY, HTTPS_PROXY and NO_PROXY hold, except towards this machine: as with Go and unlike with curl, a node on
 * localhost needs no NO_PROXY.
 */
export function httpAgent(url: URL, timeouts: HttpTimeouts): Dispatcher {
  const options: Agent.Options = {
    allowH2: false,
    connections: MAX_CONNECTIONS,
    connect: { timeout: timeouts.connectMs, lookup: lookupHost },
    headersTimeout: timeouts.answerMs,
    bodyTimeout: timeouts.stallMs,
  };
  return isLoopback(url.hostname) ? new Agent(options) : new EnvHttpProxyAgent(options);
}

function isLoopback(hostname: string): boolean {
  return isLocalhost(hostname) || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function isLocalhost(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost');
}

/** RFC 6761: every name under `localhost` is this machine. Kubo's gateway counts on it; many C libraries don't know. */
const lookupHost: LookupFunction = (hostname, options, callback) =>
  lookup(isLocalhost(hostname) ? 'localhost' : hostname, options, callback);
