/** How a source does, in plain data: for `status`, metrics and the log. */
export interface SourceStatus {
  readonly name: string;
  readonly state: 'unknown' | 'good' | 'failing';
  /** How long it has been failing; null where it is not. */
  readonly failingSeconds: number | null;
  readonly lastError: string | null;
  readonly lastErrorSecondsAgo: number | null;
  readonly blocks: number;
  readonly bytes: number;
  readonly errors: number;
  readonly inFlight: number;
  /** Requests at once that fill its path, as learned. Readers go beyond it. */
  readonly limit: number;
}
