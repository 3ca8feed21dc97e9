/**
 * The want of a request: bounded by its volumes' time-out, dropped when its caller leaves.
 */
import type { WantOptions } from '../blocks/block-reader.ts';
import type { Priority } from '../blocks/priority.ts';
import type { RequestContext } from './file-system.ts';

export class NodeWant implements WantOptions {
  readonly priority: Priority;
  readonly timeoutMs: number;
  readonly #context: RequestContext;

  constructor(priority: Priority, timeoutMs: number, context: RequestContext) {
    this.priority = priority;
    this.timeoutMs = timeoutMs;
    this.#context = context;
  }

  /** Reading it arms it, which is why it is read only when something must be waited for. */
  get signal(): AbortSignal {
    return this.#context.signal;
  }
}
