/**
 * Builds a tree's DAG and sends it to the daemon at the same time.
 *
 * Both ends can fail first. If the tree does, the connection is cut and the daemon forgets what came; if the daemon
 * does (full disk, killed), reading stops at the next block, and the daemon's reason is the one told.
 */
import { CodedError, hasCode } from '../../base/errors.ts';
import { CarStream } from '../../blocks/car-stream.ts';
import type { ImportResult } from '../../volumes/control-api.ts';
import type { DaemonClient } from '../daemon-client.ts';
import { type AddTreeOptions, addTree } from './add-tree.ts';

/** What the daemon now keeps. Its one root is the tree's. @throws INPUT_INVALID, STORE_FULL, DAEMON_UNREACHABLE, ABORTED */
export async function uploadTree(path: string, daemon: DaemonClient, options: AddTreeOptions): Promise<ImportResult> {
  const car = new CarStream();
  const sending = daemon.import(car, { rootIsLast: true, signal: options.signal });
  // Whatever the end, the builder that waits for room in the stream must be let go.
  sending.then(
    () => car.destroy(),
    (error) => car.destroy(error),
  );
  const built = await addTree(path, (block) => car.write(block), options).then(
    ({ cid }) => ({ cid }),
    (error: unknown) => ({ error }),
  );
  if ('error' in built) {
    car.destroy(built.error as Error);
    const sent = await sending.then(
      () => undefined,
      (error: unknown) => error,
    );
    // The stream breaks for the builder when the daemon fails; then the daemon's word is the cause.
    throw hasCode(built.error, 'ABORTED') ? (sent ?? built.error) : built.error;
  }
  car.end();
  const result = await sending;
  if (result.roots.length !== 1 || result.roots[0] !== built.cid.toString()) {
    throw new CodedError(
      'INTERNAL',
      `the daemon kept ${result.roots.join(', ') || 'nothing'} in place of ${built.cid}`,
    );
  }
  return result;
}
