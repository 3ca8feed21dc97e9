/**
 * Listening on a unix socket that is root's alone, and ending in bounded time.
 */
import { once } from 'node:events';
import { chmod, lstat, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { CodedError } from '../../src/base/errors.ts';
import { makeDirectory } from '../../src/base/make-directory.ts';

export interface ListeningSocket {
  readonly path: string;
  /** Takes no new calls, and ends those under way after `graceMs`. Idempotent. */
  close(graceMs: number): Promise<void>;
}

/** @throws STATE_LOCKED where another process answers on `path`, INTERNAL where it cannot listen. */
export async function listenOnSocket(path: string, listener: RequestListener): Promise<ListeningSocket> {
  try {
    makeDirectory(dirname(path), 0o755);
  } catch (error) {
    throw new CodedError('INTERNAL', `cannot listen on ${path}`, { cause: error });
  }
  await removeDeadSocket(path);
  // A mount of an absent root may take 25 s and a CAR as long as it takes; whoever waits has a time-out of his own.
  const server = createServer({ requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 5000 }, listener);
  // The mode that bind(2) gives follows the umask: nobody else may connect, not even for the moment before chmod.
  const before = process.umask(0o177);
  try {
    server.listen(path);
    await once(server, 'listening');
  } catch (error) {
    throw new CodedError('INTERNAL', `cannot listen on ${path}`, { cause: error });
  } finally {
    process.umask(before);
  }
  await chmod(path, 0o600);
  let closing: Promise<void> | undefined;
  return {
    path,
    close: (graceMs) => {
      closing ??= closeServer(server, path, graceMs);
      return closing;
    },
  };
}

/** A socket that nobody answers on was left by a dead daemon. @throws STATE_LOCKED where somebody does. */
async function removeDeadSocket(path: string): Promise<void> {
  const probe = connect(path);
  try {
    await once(probe, 'connect');
  } catch (error) {
    const refused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
    // A file that is no socket refuses too, and is not ours to remove.
    if (refused && (await lstat(path)).isSocket()) await rm(path, { force: true });
    return;
  } finally {
    probe.destroy();
  }
  throw new CodedError(
    'STATE_LOCKED',
    `another daemon answers on ${path}: stop it, or set IPFS_VOLUME_SOCKET to another`,
  );
}

async function closeServer(server: Server, path: string, graceMs: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const limit = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(limit);
  await rm(path, { force: true });
}
