/** Waiting by an injected clock, and giving up at once when the work it belongs to is ended. */
import { CodedError } from '../base/errors.ts';
import type { Clock } from '../blocks/clock.ts';

/** @throws ABORTED when `signal` aborts */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  const forget = clock.schedule(delayMs, end);
  signal.addEventListener('abort', end, { once: true });
  if (!signal.aborted) await promise;
  signal.removeEventListener('abort', end);
  forget();
  if (signal.aborted) throw new CodedError('ABORTED', 'the wait was ended');
}

/** Waits for `event`, which never rejects. @throws ABORTED when `signal` aborts */
export async function untilAborted(event: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  signal.addEventListener('abort', end, { once: true });
  if (!signal.aborted) await Promise.race([event, promise]);
  signal.removeEventListener('abort', end);
  if (signal.aborted) throw new CodedError('ABORTED', 'the wait was ended');
}
