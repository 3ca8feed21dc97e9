/**
 * One attempt to have a call answered by the daemon on one socket.
 *
 * Nothing of it reaches the caller unless it is the answer: what a daemon that dies leaves behind is an outcome, for
 * `relay` to go on from.
 */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';

/**
 * - `answered`: an answer went through whole
 * - `broken`: it was cut off when a part of it was with the caller, or the caller left
 * - `unanswered`: the daemon had the call, perhaps, and gave no answer, or no whole one
 * - `untried`: no daemon took the connection
 */
export type Outcome = 'answered' | 'broken' | 'unanswered' | 'untried';

/**
 * `body` is what was kept of the request's, or it is piped. Answers of up to `keptBytes` are held back until they are whole.
 * `gone` is the caller's; `stuck` aborts where the daemon will never answer, though its connections stand.
 */
export function attempt(
  socketPath: string,
  headers: IncomingHttpHeaders,
  request: IncomingMessage,
  body: Buffer | 'streamed',
  response: ServerResponse,
  keptBytes: number,
  { gone, stuck }: { readonly gone: AbortSignal; readonly stuck: AbortSignal | undefined },
): Promise<Outcome> {
  return new Promise((resolve) => {
    const { method, url: path } = request;
    // A connection for each call: one that is kept would be found dead by the next call.
    const upstream = httpRequest({
      socketPath,
      method,
      path,
      headers: { ...headers, connection: 'close' },
      agent: false,
    });
    let connected = false;
    const end = (outcome: Outcome): void => {
      gone.removeEventListener('abort', abandon);
      stuck?.removeEventListener('abort', fail);
      resolve(outcome);
    };
    const abandon = (): void => {
      upstream.destroy();
      end('broken');
    };
    const fail = (): void => {
      upstream.destroy();
      if (body === 'streamed') request.unpipe(upstream);
      if (response.headersSent) {
        response.destroy();
        end('broken');
      } else end(connected ? 'unanswered' : 'untried');
    };
    // First of all: one that is destroyed says so, and nobody else hears it.
    upstream.on('error', fail);
    if (gone.aborted) return abandon();
    gone.addEventListener('abort', abandon, { once: true });
    if (stuck?.aborted) return fail();
    stuck?.addEventListener('abort', fail, { once: true });
    upstream.once('socket', (socket) => {
      socket.once('connect', () => {
        connected = true;
        if (body === 'streamed') request.pipe(upstream);
        else upstream.end(body);
      });
    });
    upstream.once('response', (reply) => {
      reply.on('error', fail);
      const length = Number(reply.headers['content-length'] ?? Number.NaN);
      if (length <= keptBytes) {
        passWhole(reply, response).then(() => end('answered'), fail);
        return;
      }
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
      reply.once('end', () => end('answered'));
    });
  });
}

/** Rejects where the daemon ends before its answer does; nothing has reached the caller then. */
async function passWhole(reply: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of reply as AsyncIterable<Buffer>) chunks.push(chunk);
  response.writeHead(reply.statusCode ?? 502, reply.headers);
  response.end(Buffer.concat(chunks));
}
