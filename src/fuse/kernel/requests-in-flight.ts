/**
 * The requests that could not be answered in the turn in which they came, and what ends them before their data does:
 * an INTERRUPT, or the unmount.
 *
 * The kernel sends INTERRUPT once, for any signal: the one that kills, but also a timer's or a runtime's own, after
 * which the caller would rather have its answer. So an interrupted request has `GRACE_MS` left to be answered as if
 * nothing had happened, then it fails with EINTR and its work is given up. A process that was killed waits in the
 * kernel until then.
 */
import { ERRNO } from '../errno.ts';
import type { WaitingRequests } from './in-flight-journal.ts';
import type { PendingRequest } from './pending-request.ts';
import { RESENT_UNIQUE_BIT } from './protocol.ts';

/** Half of the second within which whoever is killed shall be gone. */
const GRACE_MS = 500;

export class RequestsInFlight {
  readonly #fail: (request: PendingRequest, errno: number) => void;
  readonly #requests = new Map<bigint, PendingRequest>();
  readonly #timers = new Map<PendingRequest, NodeJS.Timeout>();
  #journal: WaitingRequests | undefined;
  #detached = false;

  /** `fail` answers a request with an errno. */
  constructor(fail: (request: PendingRequest, errno: number) => void) {
    this.#fail = fail;
  }

  get size(): number {
    return this.#requests.size;
  }

  /** What the kernel calls them. */
  uniques(): Iterable<bigint> {
    return this.#requests.keys();
  }

  /** From now on what waits is written down. */
  journal(waiting: WaitingRequests): void {
    this.#journal = waiting;
    for (const { unique } of this.#requests.values()) waiting.add(unique);
  }

  /** Takes `request` until `work` is settled. `work` never rejects. */
  add(request: PendingRequest, work: Promise<void>): void {
    const key = keyOf(request.unique);
    this.#requests.set(key, request);
    this.#journal?.add(request.unique);
    if (this.#detached) this.#giveUpLater(request, ERRNO.ENOTCONN);
    void work.then(() => {
      this.#requests.delete(key);
      this.#journal?.remove(request.unique);
      clearTimeout(this.#timers.get(request));
      this.#timers.delete(request);
    });
  }

  /** INTERRUPT names a request; one that is not here is answered already, and then there is nothing to do. */
  interrupt(unique: bigint): void {
    const request = this.#requests.get(keyOf(unique));
    if (request) this.#giveUpLater(request, ERRNO.EINTR);
  }

  /** After an unmount nobody may hold the connection by waiting: what is here, and what still comes, has the grace. */
  detach(): void {
    this.#detached = true;
    for (const request of this.#requests.values()) this.#giveUpLater(request, ERRNO.ENOTCONN);
  }

  /** The connection is gone: nobody waits for anything. */
  abandon(): void {
    this.#detached = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    for (const request of this.#requests.values()) {
      request.answered = true;
      request.abort();
    }
  }

  #giveUpLater(request: PendingRequest, errno: number): void {
    if (this.#timers.has(request)) return;
    const timer = setTimeout(() => {
      this.#fail(request, errno);
      request.abort();
    }, GRACE_MS);
    this.#timers.set(request, timer);
  }
}

/** A request that was sent again is the same one. */
function keyOf(unique: bigint): bigint {
  return unique & ~RESENT_UNIQUE_BIT;
}
