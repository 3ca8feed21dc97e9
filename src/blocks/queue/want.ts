/**
 * One block that somebody wants: who waits for it, where it was asked for, and what each source said.
 *
 * It is as urgent as the most urgent of those who wait, and ends with the last of them.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../base/errors.ts';
import type { Attempt, Outcome } from './attempt.ts';
import { Job, type LaneJob } from './job-list.ts';
import type { SourceLane } from './source-lane.ts';
import type { Waiter } from './waiter.ts';

/** What a source said of the block last. */
export interface Answer {
  readonly error: CodedError;
  /** It will not be asked for it again. */
  readonly final: boolean;
  /** That was nothing, in time. */
  readonly silent: boolean;
  /** So often it was asked in vain, and so often it failed while it was not down for everybody. */
  readonly times: number;
  readonly refusals: number;
  /** The later, the higher, over all sources. */
  readonly order: number;
}

const NO_ATTEMPTS: ReadonlyMap<SourceLane, Attempt> = new Map();
const NO_LIE: ReadonlySet<string> = new Set(['BLOCK_UNAVAILABLE', 'SOURCE_FAILED']);
const NO_ANSWERS: ReadonlyMap<SourceLane, Answer> = new Map();

export class Want extends Job implements LaneJob {
  readonly cid: CID;
  readonly waiters = new Set<Waiter>();
  /** Requests under way, and what sources said; a want that only waits, as most of a fill's do, has no maps of its own. */
  attempts: ReadonlyMap<SourceLane, Attempt> = NO_ATTEMPTS;
  answers: ReadonlyMap<SourceLane, Answer> = NO_ANSWERS;
  rank = Number.POSITIVE_INFINITY;
  /** As the first who knew it said. */
  expectedBytes: number | undefined;
  /** Requests that failed, over all sources; sources that failed already are asked again no earlier than `retryAtMs`. */
  failures = 0;
  retryAtMs = 0;
  /** Takes back the timer of the retry, where one runs. */
  stopRetry: (() => void) | undefined;

  constructor(cid: CID) {
    super();
    this.cid = cid;
  }

  /** Whether a reader waits. */
  get awaited(): boolean {
    for (const { awaited } of this.waiters) if (awaited) return true;
    return false;
  }

  /** True while a request is under way that is not slower than usual. */
  get onItsWay(): boolean {
    for (const attempt of this.attempts.values()) if (!attempt.slow) return true;
    return false;
  }

  /** Never sent, though there are sources that are not down: others come first. */
  isHeldBack(lanes: readonly SourceLane[]): boolean {
    return this.attempts.size === 0 && this.answers.size === 0 && lanes.some((lane) => !lane.health.failing);
  }

  add(waiter: Waiter): void {
    this.waiters.add(waiter);
    this.rank = Math.min(this.rank, waiter.rank);
  }

  /** False where the waiter had left before. */
  remove(waiter: Waiter): boolean {
    if (!this.waiters.delete(waiter)) return false;
    waiter.release();
    this.rank = Number.POSITIVE_INFINITY;
    for (const { rank } of this.waiters) this.rank = Math.min(this.rank, rank);
    return true;
  }

  /** All who wait, once: whoever calls it answers them. */
  dismiss(): readonly Waiter[] {
    const waiters = [...this.waiters];
    for (const waiter of waiters) waiter.release();
    this.waiters.clear();
    return waiters;
  }

  sent(lane: SourceLane, attempt: Attempt): void {
    this.attempts = new Map(this.attempts).set(lane, attempt);
  }

  /** What a request brought instead of the block. */
  heard(lane: SourceLane, outcome: Exclude<Outcome, { kind: 'block' }>): void {
    const { times = 0, refusals = 0 } = this.answers.get(lane) ?? {};
    const final = outcome.kind === 'absent' || outcome.kind === 'lied' || (outcome.kind === 'failed' && lane.neverSeen);
    const silent = outcome.kind === 'silent';
    const refused = outcome.kind === 'failed' && !lane.health.failing ? 1 : 0;
    let order = 1;
    for (const other of this.answers.values()) order += other.times;
    const answer = { error: outcome.error, final, silent, times: times + 1, refusals: refusals + refused, order };
    this.answers = new Map(this.answers).set(lane, answer);
  }

  /** A request ended, whatever came of it. */
  over(lane: SourceLane): void {
    const attempts = new Map(this.attempts);
    attempts.delete(lane);
    this.attempts = attempts.size > 0 ? attempts : NO_ATTEMPTS;
  }

  /** Ends every request and timer; the waiters are the caller's to answer. */
  stop(): void {
    this.leave();
    this.stopRetry?.();
    for (const attempt of this.attempts.values()) attempt.cancel();
    this.attempts = NO_ATTEMPTS;
  }

  /** The error once every source has said its last word: that of a lie where there was one, else BLOCK_UNAVAILABLE. */
  verdict(lanes: readonly SourceLane[]): CodedError {
    // What failed and is final all the same is an optional source that is not there.
    const lie = [...this.answers.values()].find(({ error: { code } }) => !NO_LIE.has(code))?.error;
    if (lie) return new CodedError(lie.code, `no source sent block ${this.cid} as it is (${this.#account(lanes)})`);
    return new CodedError('BLOCK_UNAVAILABLE', `no source has block ${this.cid} (${this.#account(lanes)})`);
  }

  /** The error of a caller whose time is up, all `limitMs` of it. */
  timedOut(limitMs: number, lanes: readonly SourceLane[]): CodedError {
    const text = `block ${this.cid} did not come within ${Math.round(limitMs) / 1000} s (${this.#account(lanes)})`;
    return new CodedError('BLOCK_TIMEOUT', text);
  }

  /** `kubo http://…: connection refused (3 times); gateway …: no answer yet`. */
  #account(lanes: readonly SourceLane[]): string {
    return lanes
      .map((lane) => {
        const answer = this.answers.get(lane);
        const attempt = this.attempts.get(lane);
        if (attempt?.moves) return `${lane.source.name}: it was coming, too slowly`;
        const asked = attempt ? 'no answer yet' : 'not asked';
        const { failing, lastError } = lane.health;
        // Held back because of what others heard of the source: then that is why.
        const unheard = failing && lastError !== null ? `${asked}; it fails: ${lastError}` : asked;
        const said = answer ? answer.error.message + (answer.times > 1 ? ` (${answer.times} times)` : '') : unheard;
        return said.startsWith(lane.source.name) ? said : `${lane.source.name}: ${said}`;
      })
      .join('; ');
  }
}
