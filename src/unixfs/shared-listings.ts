/**
 * Listings that are worked out once for all who ask at the same time, where each waits no longer than its own time-out,
 * and no less.
 *
 * The wants of a listing have the time-out of the one who began it. When that passes, those who have time left begin
 * again, together: what came meanwhile is here. One who has less time leaves before.
 */
import { CodedError, hasCode } from '../base/errors.ts';
import type { WantOptions } from '../blocks/block-reader.ts';
import type { Clock } from '../blocks/clock.ts';
import { type ContentKey, cidOf } from './content-key.ts';
import type { LinkTable } from './link-table.ts';
import { SharedTasks } from './shared-tasks.ts';

type ListShards = (options: WantOptions) => Promise<LinkTable>;

export class SharedListings {
  readonly #walks = new SharedTasks<ContentKey, LinkTable>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `list` runs where nobody lists `key` yet. @throws ABORTED, BLOCK_TIMEOUT, and what `list` throws */
  run(key: ContentKey, options: WantOptions, list: ListShards): Promise<LinkTable> {
    if (this.#walks.has(key)) return this.#join(key, options, list);
    return this.#walks.run(key, options.signal, (signal) => {
      const { priority, account, limitMs } = options;
      return list({
        priority,
        signal,
        account,
        limitMs,
        // Asked for anew by each level: it is what is left for all of them together.
        get timeoutMs() {
          return options.timeoutMs;
        },
      });
    });
  }

  async #join(key: ContentKey, options: WantOptions, list: ListShards): Promise<LinkTable> {
    const { timeoutMs, limitMs = timeoutMs, priority, account, signal } = options;
    const clock = this.#clock;
    const late = new AbortController();
    const endMs = clock.nowMs() + (timeoutMs ?? 0);
    const cancel = timeoutMs === undefined ? undefined : clock.schedule(timeoutMs, () => late.abort());
    try {
      const until = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
      return await this.#walks.run(key, until, notBegun);
    } catch (error) {
      if (late.signal.aborted && !signal?.aborted) {
        throw new CodedError(
          'BLOCK_TIMEOUT',
          `the listing of ${cidOf(key)} did not come within ${Math.round(limitMs ?? 0) / 1000} s`,
        );
      }
      if (!hasCode(error, 'BLOCK_TIMEOUT')) throw error;
    } finally {
      cancel?.();
    }
    if (timeoutMs === undefined) return this.run(key, options, list);
    return this.run(
      key,
      {
        priority,
        account,
        signal,
        limitMs,
        get timeoutMs() {
          return Math.max(1, Math.round(endMs - clock.nowMs()));
        },
      },
      list,
    );
  }
}

/** Whoever joins finds the task there. */
function notBegun(): Promise<never> {
  throw new CodedError('INTERNAL', 'a listing was joined that nobody began');
}
