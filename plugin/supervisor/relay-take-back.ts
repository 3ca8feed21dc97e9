/**
 * Tells the daemon, whichever there is by then, that the caller of a call has gone without an answer, so that what the call
 * did is taken back. A daemon that lives sees its caller leave by itself; this is for one that died between its effect and
 * its answer, whose successor knows of the effect and of no caller.
 *
 * The call is sent again under its own name, marked as given up. Nobody waits for it; a supervisor that ends ends it too.
 */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';
import type { RelayTarget } from './relay-target.ts';
import { GIVEN_UP_HEADER } from './relayed-call.ts';

/** So often in all: should it be this call that daemons die of, it must not be the end of the supervisor. */
const MAX_TRIES = 3;
/** Between two tries at a daemon that did not answer and is the same still. */
const RETRY_MS = 1000;

export interface GivenUpCall {
  readonly path: string;
  /** With the call's name in them. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** True for the calls that leave something behind which only their caller would take back. */
export function leavesSomething(path: string | undefined): path is string {
  return path === '/VolumeDriver.Mount';
}

/** Resolves once a daemon has answered, or MAX_TRIES have not. Rejects when `signal` aborts, and when there will be no daemon. */
export async function takeBack(target: RelayTarget, call: GivenUpCall, signal: AbortSignal): Promise<void> {
  let failed: string | undefined;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const socketPath = await target.nextDaemon(signal);
    if (await deliver(socketPath, call, signal)) return;
    if (socketPath === failed) await after(RETRY_MS, undefined, { signal });
    failed = socketPath;
  }
}

function deliver(socketPath: string, { path, headers, body }: GivenUpCall, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const upstream = httpRequest({
    socketPath,
    method: 'POST',
    path,
    headers: { ...headers, [GIVEN_UP_HEADER]: '1', connection: 'close' },
    agent: false,
    signal,
  });
  upstream.on('error', () => resolve(false));
  upstream.once('response', (reply) => {
    reply.on('error', () => resolve(false));
    reply.once('end', () => resolve(true));
    reply.resume();
  });
  upstream.end(body);
  return promise;
}
