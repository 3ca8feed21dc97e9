/** The daemon as the relay sees it, whichever process it is by then. */
export interface RelayTarget {
  /**
   * The socket of a daemon that listens, now or as soon as one other than `deadSocket` does. Rejects when `signal` aborts,
   * and when there will be none.
   */
  nextDaemon(signal: AbortSignal, deadSocket?: string): Promise<string>;
  /** Why there is none at present, where that is known, for people. */
  readonly waitsFor?: string | undefined;
  /** Aborts when the daemon on `socketPath` is killed because it does not move, which may not end it. */
  stuck?(socketPath: string): AbortSignal | undefined;
  /** Told that the daemon on `socketPath` answered a call. */
  answered(socketPath: string): void;
}
