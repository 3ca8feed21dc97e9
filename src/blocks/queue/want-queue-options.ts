/** What a `WantQueue` is made of. */
import type { CID } from 'multiformats/cid';
import type { Logger } from '../../base/log.ts';
import type { BlockSource } from '../block-source.ts';
import type { Clock } from '../clock.ts';
import type { Priority } from '../priority.ts';

/** `priority`: that of the most urgent one who waited. */
export type OnVerified = (cid: CID, bytes: Uint8Array, priority: Priority) => void;

export interface WantQueueOptions {
  /** Cheapest first. Closed by `close`. */
  readonly sources: readonly BlockSource[];
  /** Bound on a caller's wait where it names none, in milliseconds. */
  readonly timeoutMs: number;
  /** Takes every verified block once, before those who wait for it do; must not throw. */
  readonly onVerified?: OnVerified | undefined;
  /** Bound on `profile` and `background` together; none where undefined. */
  readonly prefetchBytesPerSecond?: number | undefined;
  /** Bound on one request; the want goes on. */
  readonly attemptTimeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Is told when a source begins to fail, and when it works again. */
  readonly logger?: Logger | undefined;
  /** 0..1, for the jitter. */
  readonly random?: (() => number) | undefined;
}
