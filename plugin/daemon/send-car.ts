/** A CAR as the answer to a call. What cannot be sent to its end breaks the connection off, since half a CAR is none: who asks again is told why. */
import type { ServerResponse } from 'node:http';
import { CodedError } from '../../src/base/errors.ts';
import { EXPORT_HEADERS } from '../../src/volumes/control-api.ts';
import type { StoreExport } from '../../src/volumes/store-export.ts';

/** Resolves once it is sent, or its caller is told that it is not. Never rejects. */
export async function sendCar(dag: StoreExport, response: ServerResponse, signal: AbortSignal): Promise<void> {
  response.setHeader('Content-Type', 'application/vnd.ipld.car; version=1');
  response.setHeader('Content-Length', String(dag.carBytes));
  response.setHeader(EXPORT_HEADERS.blocks, String(dag.blocks));
  response.setHeader(EXPORT_HEADERS.bytes, String(dag.bytes));
  try {
    await dag.write((bytes) => done(signal, (whenDone) => response.write(bytes, whenDone)), signal);
    await done(signal, (whenDone) => response.end(whenDone));
  } catch {
    response.destroy();
  }
}

/** Resolves when `begin` says so. @throws ABORTED when `signal` aborts: not every write of a connection that ended is told of it */
function done(signal: AbortSignal, begin: (whenDone: (error?: Error | null) => void) => unknown): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const leave = () => reject(new CodedError('ABORTED', 'nobody takes the blocks any more', { cause: signal.reason }));
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  begin((error) => (error ? reject(error) : resolve()));
  return promise.finally(() => signal.removeEventListener('abort', leave));
}
