/** Bodies come whole in whatever form they are sent, while the memory of what came is given back piece by piece. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HttpClient } from '../../src/sources/http-client.ts';
import { parseEndpoint } from '../../src/sources/http-endpoint.ts';

/** Ends in the middle of a read, and in the middle of a page. */
const BODY = randomBytes(1024 * 1024 + 17);
const AT_ONCE = 8;

const FORMS: Record<string, (response: ServerResponse) => void> = {
  'of announced length': (response) => response.writeHead(200, { 'content-length': BODY.length }).end(BODY),
  'in chunks': (response) => response.writeHead(200).end(BODY),
  'of announced length, on a connection that is closed': (response) =>
    response.writeHead(200, { 'content-length': BODY.length, connection: 'close' }).end(BODY),
  'until the connection is closed': (response) => {
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200, { connection: 'close' }).end(BODY);
  },
  'in many small pieces': (response) => {
    response.writeHead(200);
    const send = (at: number): void => {
      if (at >= BODY.length) response.end();
      else response.write(BODY.subarray(at, at + 20_011), () => send(at + 20_011));
    };
    send(0);
  },
};

const server = createServer((request, response) => FORMS[decodeURIComponent(request.url?.slice(1) ?? '')]?.(response));
let client: HttpClient;

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new HttpClient('server', parseEndpoint(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
});

afterAll(async () => {
  await client.close();
  server.close();
});

it.each(Object.keys(FORMS))('a body %s', async (form) => {
  const { signal } = new AbortController();
  const fetchOne = async () => {
    const answer = await client.ask({ method: 'GET', path: `/${encodeURIComponent(form)}`, signal });
    return (await answer.bytes(2 * BODY.length)) ?? new Uint8Array();
  };
  // The second round is over sockets that are used again, and with what the first one gave back.
  for (let round = 0; round < 2; round++) {
    for (const bytes of await Promise.all(Array.from({ length: AT_ONCE }, fetchOne)))
      expect(BODY.equals(bytes)).toBe(true);
  }
});
