/**
 * Relays the calls on the public socket to the daemon, and again to the next daemon if that one dies.
 *
 * The supervisor alone accepts connections: a call that arrives while no daemon lives waits for the next one, and a call
 * whose daemon dies before it answered is sent again. Docker sees a slow answer, never a refused connection.
 *
 * What always holds:
 * - A call is sent again only if not one byte of an answer has come, and only if its body was kept: bodies are kept up to
 *   MAX_KEPT_BODY_BYTES; a larger one (a CAR on its way into the store) is passed through and fails with its daemon.
 * - Every attempt carries the same CALL_ID_HEADER, by which the daemon counts a Mount that arrives twice once.
 * - A caller that goes away ends its call at the daemon (which rolls a Mount back).
 */
import { randomUUID } from 'node:crypto';
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import type { Logger } from '../src/base/log.ts';

/** Names one call over all its attempts. */
export const CALL_ID_HEADER = 'x-ipfs-volume-call';

/** `1` where an earlier attempt of the call may have had its effect. */
export const REPEATED_HEADER = 'x-ipfs-volume-repeated';

/** Docker's bodies are a few hundred bytes; the daemon refuses API bodies above this anyway. */
const MAX_KEPT_BODY_BYTES = 1024 * 1024;

/** The engine gives Create and Mount two minutes, other calls one; answer before it gives up without a word. */
const MAX_WAIT_FOR_DAEMON_MS = 50_000;

export interface RelayTarget {
  /**
   * The socket of a daemon that listens, as soon as there is one other than `deadSocket`. Rejects when `signal` aborts.
   */
  nextDaemon(signal: AbortSignal, deadSocket?: string): Promise<string>;
  /** Told that the daemon on `socketPath` answered a call, or that it did not. */
  answered(socketPath: string): void;
}

/** A request listener that hands every call to `target`'s daemon. */
export function relay(target: RelayTarget, logger: Logger): RequestListener {
  return (request, response) => {
    relayCall(target, request, response).catch((error: unknown) => {
      logger.warn({ url: request.url, error: String(error) }, 'a call could not be relayed to the daemon');
      if (response.headersSent) response.destroy();
      else refuse(response, `the daemon does not answer: ${error instanceof Error ? error.message : String(error)}`);
    });
  };
}

async function relayCall(target: RelayTarget, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const callId = randomUUID();
  const body = await keepBody(request);
  const gone = new AbortController();
  response.once('close', () => gone.abort(new Error('the caller went away')));
  let deadSocket: string | undefined;
  for (;;) {
    const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(MAX_WAIT_FOR_DAEMON_MS)]);
    const socketPath = await target.nextDaemon(signal, deadSocket);
    const outcome = await attempt(
      socketPath,
      { callId, repeated: deadSocket !== undefined },
      request,
      body,
      response,
      gone.signal,
    );
    if (outcome === 'answered') target.answered(socketPath);
    if (outcome !== 'unanswered') return;
    if (body === 'streamed') throw new Error('it stopped in the middle of the transfer; start the command again');
    deadSocket = socketPath;
  }
}

/** The whole body, or `'streamed'` for one that is announced as larger or of unknown length and no Docker call. */
async function keepBody(request: IncomingMessage): Promise<Buffer | 'streamed'> {
  const announced = Number(request.headers['content-length'] ?? 0);
  // Docker announces a length; what comes chunked is `add` or `import` streaming a CAR.
  if (request.headers['transfer-encoding'] !== undefined || announced > MAX_KEPT_BODY_BYTES) return 'streamed';
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** `answered`: an answer went through whole. `broken`: it was cut off on the way. `unanswered`: nothing came at all. */
type Outcome = 'answered' | 'broken' | 'unanswered';

function attempt(
  socketPath: string,
  { callId, repeated }: { readonly callId: string; readonly repeated: boolean },
  request: IncomingMessage,
  body: Buffer | 'streamed',
  response: ServerResponse,
  gone: AbortSignal,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const upstream: ClientRequest = httpRequest({
      socketPath,
      method: request.method,
      path: request.url,
      headers: {
        ...request.headers,
        [CALL_ID_HEADER]: callId,
        [REPEATED_HEADER]: repeated ? '1' : '0',
        connection: 'close',
      },
      agent: false,
    });
    const end = (outcome: Outcome): void => {
      gone.removeEventListener('abort', abandon);
      resolve(outcome);
    };
    const abandon = (): void => {
      upstream.destroy();
      end('broken');
    };
    gone.addEventListener('abort', abandon, { once: true });
    upstream.once('error', () => {
      if (!response.headersSent) end('unanswered');
    });
    upstream.once('response', (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
      reply.once('end', () => end('answered'));
      reply.once('error', () => {
        response.destroy();
        end('broken');
      });
    });
    if (body === 'streamed') request.pipe(upstream);
    else upstream.end(body);
  });
}

/** In the form of both APIs on the socket: Docker reads `Err`, the command line `code` and `message`. */
function refuse(response: ServerResponse, message: string): void {
  response.writeHead(503, { 'content-type': 'application/vnd.docker.plugins.v1.1+json' });
  response.end(JSON.stringify({ Err: message, code: 'DAEMON_UNREACHABLE', message }));
}
