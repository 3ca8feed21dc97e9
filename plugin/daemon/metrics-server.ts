/**
 * `GET /metrics` on a TCP address, and nothing else: neither Docker's API nor ours is to be had over TCP.
 *
 * The supervisor listens, so that the address outlives every daemon; the text itself is the daemon's, through the relay.
 */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { CodedError } from '../../src/base/errors.ts';

interface MetricsServer {
  /** Where it answers, with the port that 0 became. */
  readonly url: string;
  close(): Promise<void>;
}

/** Prometheus gives up after ten seconds; whoever takes longer to ask is not it. */
const REQUEST_TIMEOUT_MS = 10_000;
/** More scrapers than one ever has. */
const MAX_CONNECTIONS = 64;

/** Hands what asks for the metrics to `answer`. @throws CONFIG_INVALID where the address cannot be had */
export async function serveMetrics(
  { host, port }: { readonly host: string; readonly port: number },
  answer: RequestListener,
): Promise<MetricsServer> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: 5000 }, (request, response) => {
    const [path] = (request.url ?? '').split('?');
    if (path !== '/metrics') response.writeHead(404).end('only /metrics is here\n');
    else if (request.method !== 'GET' && request.method !== 'HEAD')
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    else answer(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  const shownHost = isIPv6(host) ? `[${host}]` : host;
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    throw new CodedError(
      'CONFIG_INVALID',
      `IPFS_VOLUME_METRICS cannot be used: nothing can listen on ${shownHost}:${port}`,
      { cause },
    );
  }
  return {
    url: `http://${shownHost}:${(server.address() as AddressInfo).port}/metrics`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
