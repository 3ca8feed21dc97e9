/** Calls that wait for a daemon: each gets the socket of the next one that listens, or is told that there will be none. */

interface Waiter {
  readonly serve: (socketPath: string) => void;
  readonly fail: (why: unknown) => void;
}

export class SocketWaiters {
  readonly #waiters = new Set<Waiter>();

  /** Rejects when `signal` aborts, and by `fail`. */
  wait(signal: AbortSignal): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const waiter: Waiter = { serve: resolve, fail: reject };
    const leave = (): void => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    this.#waiters.add(waiter);
    return promise.finally(() => {
      signal.removeEventListener('abort', leave);
      this.#waiters.delete(waiter);
    });
  }

  serve(socketPath: string): void {
    for (const { serve } of this.#waiters) serve(socketPath);
  }

  fail(why: unknown): void {
    for (const { fail } of this.#waiters) fail(why);
  }
}
