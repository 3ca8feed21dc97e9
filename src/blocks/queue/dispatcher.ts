/**
 * Which of the jobs that wait at a source starts next, and when: the most urgent first, as far as the source's lane admits
 * it, and the background within its rate. Whoever starts it is told, and may send it elsewhere.
 *
 * What always holds: a job that may start does. Each end of a request is followed by another look (`pump`); where time alone
 * holds the next job back (a probe's back-off, the rate), a timer is; and what waits at sources that are down is looked at
 * when any source works again.
 */
import type { Clock } from '../clock.ts';
import { PRIORITIES, PRIORITY_RANK } from '../priority.ts';
import type { LaneJob } from './job-list.ts';
import type { SourceLane } from './source-lane.ts';
import type { TokenBucket } from './token-bucket.ts';

/** `profile` and what follows: bounded by the prefetch rate, and made to wait without running out of time. */
export const FIRST_PREFETCH_RANK = PRIORITY_RANK.profile;

export interface DispatcherOptions {
  readonly clock: Clock;
  /** Of the prefetch rate, where there is one. */
  readonly bucket: TokenBucket | undefined;
  /** `job` left the list of `lane`, and may start there. */
  readonly start: (job: LaneJob, lane: SourceLane) => void;
  /** `job` waits at `lane`, which is down, and another source is up again. */
  readonly reconsider: (job: LaneJob, lane: SourceLane) => void;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #wakers = new Map<SourceLane, () => void>();
  /** Sources that were down when they were last looked at. */
  readonly #down = new Set<SourceLane>();
  /** Lanes to be looked at when this turn is over. */
  readonly #soon = new Set<SourceLane>();
  #closed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Starts what may start at `lane`, and looks again when time alone lets the next one start. */
  pump(lane: SourceLane): void {
    if (this.#closed) return;
    this.#noteHealth(lane);
    let next = this.#next(lane);
    for (; typeof next === 'object'; next = this.#next(lane)) {
      next.leave();
      this.#options.start(next, lane);
    }
    this.#wakers.get(lane)?.();
    this.#wakers.delete(lane);
    if (next === undefined) return;
    const stop = this.#options.clock.schedule(next, () => this.pump(lane));
    this.#wakers.set(lane, stop);
  }

  /** Once in this turn: of all who leave together none makes room for another that is to leave next. */
  pumpSoon(lane: SourceLane): void {
    if (this.#soon.size === 0) {
      queueMicrotask(() => {
        const lanes = [...this.#soon];
        this.#soon.clear();
        for (const each of lanes) this.pump(each);
      });
    }
    this.#soon.add(lane);
  }

  /** What a request takes of the prefetch rate: `bytes`, or some given back, which others may have. */
  charge(bytes: number): void {
    this.#options.bucket?.charge(bytes);
    if (bytes < 0) for (const lane of this.#wakers.keys()) this.pumpSoon(lane);
  }

  /** Nothing starts any more. */
  close(): void {
    this.#closed = true;
    for (const stop of this.#wakers.values()) stop();
    this.#wakers.clear();
  }

  /**
   * The job that may start now; else in how many ms time alone may let one start. Undefined where another's end does. What was
   * not to start yet is not asked again whether it may: it may by then, and nobody would come back for it.
   */
  #next(lane: SourceLane): LaneJob | number | undefined {
    for (let rank = 0; rank < PRIORITIES.length; rank++) {
      const job = lane.lists[rank]?.first;
      if (!job) continue;
      if (!lane.admits(rank, job.expectedBytes)) return lane.nextProbeMs;
      const rateMs = rank >= FIRST_PREFETCH_RANK ? (this.#options.bucket?.readyInMs() ?? 0) : 0;
      return rateMs > 0 ? rateMs : job;
    }
    return undefined;
  }

  #noteHealth(lane: SourceLane): void {
    if (lane.health.failing) this.#down.add(lane);
    else if (this.#down.delete(lane)) {
      for (const other of this.#down)
        for (const list of other.lists) for (const job of [...list]) this.#options.reconsider(job, other);
    }
  }
}
