/**
 * An HTTP server on loopback that does to a source whatever a test wants: answer well, lie, stall, cut, never end.
 *
 * It keeps what it was asked, and when each request was over on the wire.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CID } from 'multiformats/cid';
import { blockKey } from '../../src/blocks/block.ts';
import type { BlockMap } from './block-map.ts';

export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

interface SeenRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  /** Resolves once the answer was sent or the client hung up: true for the latter. */
  readonly hungUp: Promise<boolean>;
}

export interface GatewayServer {
  readonly url: string;
  readonly port: number;
  readonly requests: SeenRequest[];
  /** What it does from the next request on. */
  behave(behaviour: Behaviour): void;
  /** Resolves with request number `index` (from 0), once it is there. */
  request(index: number): Promise<SeenRequest>;
  /** Sockets open at this moment. */
  connections(): Promise<number>;
  /** Resolves once no socket is open. */
  disconnected(): Promise<void>;
  /** Cuts all connections and stops listening. */
  close(): Promise<void>;
}

/** On `port`, or on a free one. */
export async function startGatewayServer(behaviour: Behaviour = status(404), port = 0): Promise<GatewayServer> {
  let current = behaviour;
  const requests: SeenRequest[] = [];
  const arrivals = new EventTarget();
  const server = createServer((request, response) => {
    const hungUp = once(response, 'close').then(() => !response.writableFinished);
    // Absolute where we are asked as a proxy.
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    requests.push({ method: request.method ?? '', url, headers: request.headers, hungUp });
    arrivals.dispatchEvent(new Event('request'));
    current(request, response);
  });
  const departures = new EventTarget();
  server.on('connection', (socket) => socket.on('close', () => departures.dispatchEvent(new Event('socket'))));
  // As a proxy it opens no tunnels.
  server.on('connect', (_request, socket) => socket.end('HTTP/1.1 405 Method Not Allowed\r\n\r\n'));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: listening } = server.address() as AddressInfo;
  const connections = (): Promise<number> =>
    new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count))));
  return {
    url: `http://127.0.0.1:${listening}`,
    port: listening,
    requests,
    behave: (next) => {
      current = next;
    },
    async request(index) {
      while (requests[index] === undefined) await once(arrivals, 'request');
      return requests[index];
    },
    connections,
    async disconnected() {
      while ((await connections()) > 0) await once(departures, 'socket');
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A status with a short text, or with what headers and body are given. */
export function status(
  code: number,
  headers: Record<string, string> = {},
  body: string | Uint8Array = `status ${code}`,
): Behaviour {
  return (_request, response) => {
    response.writeHead(code, { 'content-type': 'text/plain', ...headers }).end(body);
  };
}

/** The headers under which a gateway and a Kubo RPC send a raw block. */
const RAW_HEADERS = { 'content-type': 'application/vnd.ipld.raw', 'x-stream-output': '1' };

/** A trustless gateway over `blocks` that sends single blocks (no CARs), and has no others. */
export function blocksOf(blocks: BlockMap): Behaviour {
  return (request, response) => {
    const cid = /^\/ipfs\/(\w+)\?format=raw$/.exec(request.url ?? '')?.[1];
    const bytes = cid === undefined ? undefined : blocks.blocks.get(blockKey(CID.parse(cid)));
    (bytes ? raw(bytes) : status(404))(request, response);
  };
}

/** 200 with these bytes as the block, whatever was asked for. */
export function raw(body: Uint8Array, headers: Record<string, string> = {}): Behaviour {
  return status(200, { ...RAW_HEADERS, ...headers }, body);
}

/** Accepts the request and never says anything. */
export const silent: Behaviour = () => {};

/** Begins a block and sends nothing more. */
export const stalled: Behaviour = (_request, response) => {
  response.writeHead(200, RAW_HEADERS).write('the beginning');
};

/** Announces more than it sends, then cuts the connection. */
export const cut: Behaviour = (request, response) => {
  response
    .writeHead(200, { ...RAW_HEADERS, 'content-length': '1000' })
    .write('the beginning', () => request.socket.destroy());
};

/** Sends as fast as the client reads, for ever. `headers` say as what. */
export function endless(headers: Record<string, string> = RAW_HEADERS, code = 200): Behaviour {
  return (_request, response) => {
    const chunk = Buffer.alloc(64 * 1024, 0x2e);
    response.writeHead(code, headers);
    const send = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', send);
    send();
  };
}

/** A byte every few milliseconds, for ever: nothing stalls, and nothing comes. */
export const drip: Behaviour = (_request, response) => {
  response.writeHead(200, RAW_HEADERS);
  const timer = setInterval(() => response.write('.'), 20);
  response.on('close', () => clearInterval(timer));
};
