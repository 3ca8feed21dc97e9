/** The call behind a request: which one it is (a relayed call may come twice), and whether its caller is still there. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MountCall } from '../../src/volumes/volume-registry.ts';
import { CALL_ID_HEADER, GIVEN_UP_HEADER, REPEATED_HEADER } from '../supervisor/relayed-call.ts';

/** Its signal aborts when the caller goes away before the answer; disposing it ends the watch. */
export function callOf(request: IncomingMessage, response: ServerResponse): MountCall & Disposable {
  const gone = new AbortController();
  const leave = (): void => {
    if (!response.writableFinished) gone.abort(new Error('the caller went away'));
  };
  response.once('close', leave);
  const call = request.headers[CALL_ID_HEADER];
  return {
    signal: gone.signal,
    call: typeof call === 'string' ? call : undefined,
    repeated: request.headers[REPEATED_HEADER] === '1',
    givenUp: request.headers[GIVEN_UP_HEADER] === '1',
    [Symbol.dispose]: () => response.off('close', leave),
  };
}
