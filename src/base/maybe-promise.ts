/**
 * A value now or later.
 *
 * What is in memory or on the local disk is answered in the same turn of the event loop: a promise for each of the
 * hundred thousand look-ups of a tree walk costs more than the look-up. Whoever returns `MaybePromise` never blocks on
 * the network in the synchronous case.
 */
export type MaybePromise<T> = T | Promise<T>;

/** `then` without a promise where the value is there already. Errors of `next` propagate as thrown or rejected. */
export function chain<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}
