/**
 * Relays the calls on the public socket to the daemon, and again to the next daemon if that one dies.
 *
 * The supervisor alone accepts connections: a call that arrives while no daemon lives waits for the next one, and a call
 * whose daemon dies before it answered is sent again. Docker sees a slow answer, never a refused connection.
 *
 * What always holds:
 * - A call is sent again as long as the caller has had no byte of an answer. Answers of up to MAX_KEPT_BYTES are passed on
 *   only when they are whole, so that they too can be had again.
 * - Bodies are kept for that, up to MAX_KEPT_BYTES; a larger one (a CAR on its way into the store) is passed through once
 *   a daemon has taken the connection, and fails with that daemon.
 * - Every attempt carries the same CALL_ID_HEADER, by which the daemon counts a Mount that arrives twice once.
 * - A caller that goes away ends its call at the daemon (which rolls a Mount back), or has the next daemon take it back.
 * - Nobody waits for a daemon for longer than MAX_WAIT_FOR_DAEMON_MS in all.
 * - A call of which one daemon after the other dies is given up before the supervisor gives up on the daemons.
 * - The engine never hears of a volume that there is none because there is no daemon to ask.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';
import { CodedError, messageChain } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { attempt } from './relay-attempt.ts';
import { leavesSomething, takeBack } from './relay-take-back.ts';
import type { RelayTarget } from './relay-target.ts';
import { CALL_ID_HEADER, REPEATED_HEADER } from './relayed-call.ts';

/** Docker's bodies are a few hundred bytes; the daemon refuses API bodies above this anyway. */
const MAX_KEPT_BYTES = 1024 * 1024;

/** Where what keeps daemons from coming up is known, whoever asks by the command line is told so after this. */
const KNOWN_WAIT_MS = 5000;
/** The engine gives Create and Mount two minutes, other calls one; answer before it gives up without a word. */
const MAX_WAIT_FOR_DAEMON_MS = 50_000;

/**
 * A daemon that broke a connection is dead in nearly every case, and its successor is waited for. Should it live, it is
 * tried again after this.
 */
const RETRY_SAME_MS = 1000;

/** So often in a row, within QUICK_END_MS of being sent: half of what ends a supervisor, and with it every mount. */
const MAX_QUICK_ENDS = 5;
/** What kills a daemon by being sent to it does so at once; who is killed by somebody else seldom meets a call so young. */
const QUICK_END_MS = 1000;

export interface RelayLimits {
  readonly maxWaitMs?: number;
  readonly retrySameMs?: number;
}

/** A request listener that hands every call to `target`'s daemon. */
export function relay(target: RelayTarget, logger: Logger, limits: RelayLimits = {}): RequestListener {
  return (request, response) => {
    relayCall(target, request, response, limits).catch((error: unknown) => {
      // There is nobody to tell.
      if (response.destroyed) return;
      logger.warn({ url: request.url, error: messageChain(error) }, 'a call could not be relayed to the daemon');
      const message = `the daemon does not answer: ${messageChain(error)}`;
      if (response.headersSent) response.destroy();
      else if (isEnginesLookUp(request)) breakOff(request, message);
      else refuse(response, message);
    });
  };
}

async function relayCall(
  target: RelayTarget,
  request: IncomingMessage,
  response: ServerResponse,
  { maxWaitMs = MAX_WAIT_FOR_DAEMON_MS, retrySameMs = RETRY_SAME_MS }: RelayLimits,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new CodedError('ABORTED', 'the caller went away')));
  const body = await keepBody(request);
  const callId = randomUUID();
  const isDockers = request.url?.startsWith('/VolumeDriver.') || request.url?.startsWith('/Plugin.');
  let leftMs = target.waitsFor !== undefined && !isDockers ? Math.min(maxWaitMs, KNOWN_WAIT_MS) : maxWaitMs;
  let failedSocket: string | undefined;
  let repeated = false;
  let quickEnds = 0;
  let sent = false;
  const { url: path } = request;
  const giveUp = () => {
    if (body === 'streamed' || !sent || !leavesSomething(path)) return;
    const call = { path, body, headers: { ...request.headers, [CALL_ID_HEADER]: callId } };
    void takeBack(target, call, AbortSignal.timeout(maxWaitMs)).catch(() => undefined);
  };
  gone.signal.addEventListener('abort', () => response.writableFinished || giveUp());
  const noDaemon = (error: unknown): never => {
    // Who is told so takes the call for one without effect, and it may have had one.
    if (!gone.signal.aborted) giveUp();
    throw error;
  };
  for (;;) {
    const askedAt = performance.now();
    const wait = { gone: gone.signal, leftMs, failedSocket, retrySameMs };
    const socketPath = await daemonFor(target, wait).catch(noDaemon);
    leftMs = Math.max(1, leftMs - (performance.now() - askedAt));
    const sentAt = performance.now();
    sent = true;
    const headers = { ...request.headers, [CALL_ID_HEADER]: callId, [REPEATED_HEADER]: repeated ? '1' : '0' };
    const outcome = await attempt(socketPath, headers, request, body, response, MAX_KEPT_BYTES, {
      gone: gone.signal,
      stuck: target.stuck?.(socketPath),
    });
    if (outcome === 'answered') target.answered(socketPath);
    if (outcome === 'answered' || outcome === 'broken') return;
    if (outcome === 'unanswered') {
      repeated = true;
      if (body === 'streamed') {
        throw new CodedError('DAEMON_UNREACHABLE', 'it stopped in the middle of the transfer; start the command again');
      }
      quickEnds = performance.now() - sentAt < QUICK_END_MS ? quickEnds + 1 : 0;
      if (quickEnds === MAX_QUICK_ENDS) {
        throw new CodedError('DAEMON_UNREACHABLE', `it died of this call ${quickEnds} times; its log says why`);
      }
    }
    failedSocket = socketPath;
  }
}

interface Wait {
  readonly gone: AbortSignal;
  readonly leftMs: number;
  readonly failedSocket: string | undefined;
  readonly retrySameMs: number;
}

/** Another daemon than the one that failed, or that one again where it is still the one. */
async function daemonFor(target: RelayTarget, { gone, leftMs, failedSocket, retrySameMs }: Wait): Promise<string> {
  const found = new AbortController();
  const signal = AbortSignal.any([gone, found.signal]);
  const waits: Promise<string>[] = [
    target.nextDaemon(signal, failedSocket),
    after(leftMs, undefined, { signal }).then(() => {
      throw new CodedError('DAEMON_UNREACHABLE', target.waitsFor ?? 'none has come up in time');
    }),
  ];
  if (failedSocket !== undefined) waits.push(after(retrySameMs, failedSocket, { signal }));
  try {
    return await Promise.race(waits);
  } catch (error) {
    throw gone.aborted ? gone.reason : error;
  } finally {
    // The others end with it, and nobody is interested in how.
    for (const wait of waits) wait.catch(() => undefined);
    found.abort();
  }
}

/** The whole body, or `'streamed'` for one that is announced as larger or of unknown length and no Docker call. */
async function keepBody(request: IncomingMessage): Promise<Buffer | 'streamed'> {
  const announced = Number(request.headers['content-length'] ?? 0);
  // Docker announces a length; what comes chunked is `add` or `import` streaming a CAR.
  if (request.headers['transfer-encoding'] !== undefined || announced > MAX_KEPT_BYTES) return 'streamed';
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Any error of a Get means to the engine that there is no such volume: it forgets the volume, and which containers have it. */
function isEnginesLookUp({ url, headers }: IncomingMessage): boolean {
  return url === '/VolumeDriver.Get' && (headers['user-agent'] ?? '').startsWith('Go-http-client');
}

/**
 * But for trouble with the connection, of which it tells its user. So the answer is none that it could read: in the place of
 * headers stands a line without a colon, which Go's net/http quotes in what it says (`malformed MIME header: missing colon: …`).
 */
function breakOff(request: IncomingMessage, message: string): void {
  const line = message.replaceAll(': ', ' - ').replace(/[:\r\n]+/g, ' ');
  request.socket.end(`HTTP/1.1 503 Service Unavailable\r\n${line}\r\n\r\n`);
}

/** In the form of both APIs on the socket: Docker reads `Err`, the command line `code` and `message`. */
function refuse(response: ServerResponse, message: string): void {
  response.writeHead(503, { 'content-type': 'application/vnd.docker.plugins.v1.1+json' });
  response.end(JSON.stringify({ Err: message, code: 'DAEMON_UNREACHABLE', message }));
}
