/** Waiting for work that others wait for too: one who leaves does not end it. */
import { CodedError } from '../base/errors.ts';

/** `shared`, or ABORTED as soon as `signal` is. Never leaves a rejection unhandled. */
export function waitFor<T>(shared: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const leave = (): void => reject(new CodedError('ABORTED', 'the caller went away', { cause: signal.reason }));
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  return promise;
}
