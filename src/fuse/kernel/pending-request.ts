/**
 * One request from its arrival to its answer, and the context under which the file system works for it.
 */
import type { NodeId, RequestContext } from '../../fs/file-system.ts';
import type { RequestHeader } from './decode-request.ts';

export class PendingRequest implements RequestContext {
  readonly unique: bigint;
  readonly operation: string;
  readonly node: NodeId;
  /** Answered once; what the file system still brings is then too late. */
  answered = false;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor(header: RequestHeader) {
    this.unique = header.unique;
    this.operation = header.operation;
    this.node = header.node;
  }

  /** Made on first use: most requests are answered in the turn in which they come. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Nobody waits for this any longer. */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}
