/**
 * The wants of one request: dropped when its caller leaves, and bounded by one time-out together, however many blocks
 * follow from each other on the way.
 */
import type { OnBlock, WantOptions } from '../blocks/block-reader.ts';
import type { Priority } from '../blocks/priority.ts';
import type { RequestContext } from './file-system.ts';

export class NodeWant implements WantOptions {
  readonly priority: Priority;
  /** The request is not answered before. */
  readonly awaited = true;
  readonly account: OnBlock | undefined;
  readonly limitMs: number;
  readonly #context: RequestContext;
  readonly #now: () => number;
  #deadlineMs: number | undefined;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(
    priority: Priority,
    limitMs: number,
    context: RequestContext,
    now: () => number,
    account?: OnBlock | undefined,
  ) {
    this.priority = priority;
    this.account = account;
    this.limitMs = limitMs;
    this.#context = context;
    this.#now = now;
  }

  /** Reading it arms it, which is why it is read only when something must be waited for. */
  get signal(): AbortSignal {
    return this.#context.signal;
  }

  /** What is left, in whole milliseconds. The time runs from the first asking: until then nothing was waited for. */
  get timeoutMs(): number {
    const now = this.#now();
    this.#deadlineMs ??= now + this.limitMs;
    return Math.max(1, Math.round(this.#deadlineMs - now));
  }
}
