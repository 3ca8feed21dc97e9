/**
 * One source as the want queue sees it: the jobs that wait for it, what is in flight there, how it does.
 *
 * What always holds:
 * - Readers are never held back by the rest: what nobody waits for yet starts only while all that is in flight leaves
 *   the path unfilled (`ConcurrencyWindow`), a reader's want starts at once. As readers come, the background's requests
 *   are simply not replaced; none is thrown away.
 * - A request that is slower than usual, and of which nothing comes, stops counting as filling the path: ten absent blocks
 *   that a Kubo node searches for must not stop the other volumes' readahead. One that comes slowly fills it.
 * - A failing source gets one probe at a time.
 * - One that says nothing to anybody is shown as failing (`SilenceWatch`), and asked as before.
 */
import type { CID } from 'multiformats/cid';
import { CodedError, codeOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { BlockSource } from '../block-source.ts';
import type { Clock } from '../clock.ts';
import { PRIORITIES, PRIORITY_RANK, type Priority } from '../priority.ts';
import type { SourceStatus } from '../source-status.ts';
import { verifyBlock } from '../verify.ts';
import { AttemptLimit } from './attempt-limit.ts';
import { ConcurrencyWindow } from './concurrency-window.ts';
import { FIRST_BYTES, FirstBytes } from './first-bytes.ts';
import { type Job, JobList } from './job-list.ts';
import { SilenceWatch } from './silence-watch.ts';
import { SizeClaims } from './size-claims.ts';
import { SourceHealth } from './source-health.ts';
import { SourceNews } from './source-news.ts';
import { UsualDelay } from './usual-delay.ts';

/** A job that can wait at a lane; 0 is demand. */
export interface LaneJob extends Job {
  readonly rank: number;
  /** What it will bring, where that is known. */
  readonly expectedBytes: number | undefined;
}

/**
 * What became of a request. `absent` and `lied` are the source's last word on the block; `failed` (an error of the
 * source) and `silent` (no answer in time, which a search for an absent block is too) may be tried again.
 */
export type Outcome =
  | { readonly kind: 'block'; readonly bytes: Uint8Array }
  | { readonly kind: 'absent' | 'lied' | 'failed' | 'silent'; readonly error: CodedError };

/** A request in flight. `cancel` ends it on the wire, and its `ended` is not called. */
export interface Attempt {
  /** Slower than the source's usual. */
  readonly slow: boolean;
  /** It comes, if slowly. */
  readonly moves: boolean;
  cancel(): void;
}

/** A request of any form, as the lane counts it. */
export interface Flight {
  readonly startedAtMs: number;
  readonly slow: boolean;
  /** Something of it came. */
  moved(): void;
  /** To be called once. */
  end(bytes: number | undefined): void;
}

/** Who is told: `slow` at most once, `ended` once unless cancelled, neither from within `fetch`. */
export interface AttemptEvents {
  slow(): void;
  ended(outcome: Outcome): void;
}

/**
 * Requests in flight at most, by rank, slow ones included: sockets to one source. What is less urgent leaves room for the
 * rest, so that a volume full of absent blocks does not take the others' turns.
 */
const MAX_IN_FLIGHT_BY_RANK = [2048, 512, 512, 256, 256] as const;
/** Readers' requests that answer in their usual time, at most: the concurrent readers we promise, twice. */
const MAX_READING = 512;
/** For the estimate of what a request will bring, before the first came: UnixFS's old chunk size. */
const GUESSED_BLOCK_BYTES = 256 * 1024;
/** Answers that the estimate rests on. */
const MEAN_OF_ANSWERS = 16;
/**
 * Until a path is known, so many requests may be under way up to FIRST_BYTES, whatever the window of requests: a start wants
 * a thousand blocks of 3 KB, and the window would take ten round trips to grow to that.
 */
const MAX_FIRST_REQUESTS = 256;
/**
 * Of a path that is known, too, so much counts as idle: 80 ms of 25 Mbit/s. The window counts requests, and finds a few of
 * them enough where each brings 3 KB and the processor is what held it back; a range of a megabyte would wait for them. Of a
 * source whose processor is slow (a Kubo node's, 0.3 ms for each) as many are some 20 ms.
 */
const IDLE_BYTES = 256 * 1024;
const MAX_IDLE_REQUESTS = 64;
const TOO_SLOW = 'sends too slowly for a block to come';

export class SourceLane {
  readonly source: BlockSource;
  readonly health: SourceHealth;
  /** Waiting jobs by rank, first come first served. */
  readonly lists = PRIORITIES.map(() => new JobList<LaneJob>());
  readonly #clock: Clock;
  readonly #attemptTimeoutMs: number;
  readonly #window = new ConcurrencyWindow();
  readonly #delay = new UsualDelay();
  readonly #silence: SilenceWatch;
  readonly #news: SourceNews;
  readonly #firstBytes = new FirstBytes();
  readonly #claims = new SizeClaims();
  #inFlight = 0;
  /** Of these, what is slow and of which nothing comes. */
  #stuck = 0;
  #probes = 0;
  #blocks = 0;
  #bytes = 0;
  #errors = 0;
  #meanBlockBytes = GUESSED_BLOCK_BYTES;
  /** Of all that is in flight. */
  #expectedBytes = 0;
  /** Of what fills the path, where no size is known that of the usual answer. */
  #fillingBytes = 0;

  /** `logger` is told when the source begins to fail, and when it works again. */
  constructor(source: BlockSource, clock: Clock, random: () => number, attemptTimeoutMs: number, logger?: Logger) {
    this.source = source;
    this.#clock = clock;
    this.#attemptTimeoutMs = attemptTimeoutMs;
    this.health = new SourceHealth(clock, random);
    this.#news = new SourceNews(source.name, clock, logger);
    this.#silence = new SilenceWatch(source, clock, attemptTimeoutMs, {
      silent: (sinceMs) => {
        this.#errors++;
        this.health.mute(this.#noAnswer, sinceMs);
        this.#tell();
      },
      alive: () => {
        this.health.alive();
        this.#tell();
      },
      failed: (message, startedAtMs) => this.fault('failed', message, startedAtMs),
    });
  }

  get waiting(): number {
    return this.lists.reduce((sum, list) => sum + list.size, 0);
  }

  /** As `SourceHealth.demotion`; a probe under way keeps the others off. */
  get demotion(): number {
    const { demotion, failing } = this.health;
    return failing && this.#probes > 0 ? demotion | 2 : demotion;
  }

  /** Neither failing nor lying: worth a range. */
  get isWell(): boolean {
    return !this.health.failing && this.demotion <= 1;
  }

  /** An optional source that never answered: what it fails to answer it is not waited for. */
  get neverSeen(): boolean {
    return this.source.optional === true && !this.health.hasAnswered;
  }

  /** Of one that is down, in how many ms it is to be probed; undefined while that is under way, and where it is not down. */
  get nextProbeMs(): number | undefined {
    return this.health.failing && this.#probes === 0 ? this.health.probeInMs : undefined;
  }

  /** What a request is expected to bring. */
  get meanBlockBytes(): number {
    return this.#meanBlockBytes;
  }

  get status(): SourceStatus {
    return {
      name: this.source.name,
      state: this.health.state,
      failingSeconds: inSeconds(this.health.failingForMs),
      lastError: this.health.lastError,
      lastErrorSecondsAgo: inSeconds(this.health.lastErrorAgoMs),
      blocks: this.#blocks,
      bytes: this.#bytes,
      errors: this.#errors,
      inFlight: this.#inFlight,
      limit: this.#window.size,
    };
  }

  /** Lets a job that waits nowhere wait here, behind those of its rank. */
  enqueue(job: LaneJob): void {
    this.lists[job.rank]?.push(job);
  }

  /** True of a job that waits here. */
  holds(job: LaneJob): boolean {
    return this.lists.some((each) => each.holds(job));
  }

  /** Moves a job that waits here to the list of its present rank; false where it waits elsewhere or is there already. */
  requeue(job: LaneJob): boolean {
    const list = this.lists.find((each) => each.holds(job));
    if (list === undefined || list === this.lists[job.rank]) return false;
    list.remove(job);
    this.enqueue(job);
    return true;
  }

  /** Whether a job of `rank` may start now. What may not at one rank may not at a later one, as far as anybody looks. */
  admits(rank: number, claimedBytes: number | undefined): boolean {
    const expectedBytes = this.#claims.of(claimedBytes);
    if (this.health.failing) return this.#probes === 0 && this.health.probeInMs === 0;
    if (this.#inFlight >= (MAX_IN_FLIGHT_BY_RANK[rank] ?? 0)) return false;
    if (rank === 0) return this.#filling < MAX_READING;
    if (rank >= PRIORITY_RANK.background) return !this.#isFilled(expectedBytes);
    if (this.#filling < this.#window.size) return true;
    if (this.#window.isKnown) return this.#filling < MAX_IDLE_REQUESTS && this.#expectedBytes < IDLE_BYTES;
    const firstBytes = rank === PRIORITY_RANK.profile ? this.#firstBytes.limit : FIRST_BYTES;
    const bytes = this.#expectedBytes + (expectedBytes ?? this.#meanBlockBytes);
    return this.#filling < MAX_FIRST_REQUESTS && bytes <= firstBytes;
  }

  /** Asks for one block, and verifies it. `claimedBytes`: what it is said to measure, by whoever links to it. */
  fetch(cid: CID, priority: Priority, claimedBytes: number | undefined, events: AttemptEvents): Attempt {
    const controller = new AbortController();
    const expectedBytes = this.#claims.of(claimedBytes);
    const flight = this.begin(priority, expectedBytes, () => events.slow());
    // After the flight: what was silent so long is judged before this request ends.
    const limit = new AttemptLimit(this.#clock, this.#attemptTimeoutMs, expectedBytes ?? this.#meanBlockBytes, () => {
      controller.abort();
      end({ kind: 'silent', error: this.#error(limit.hasBegun ? TOO_SLOW : this.#noAnswer) });
    });
    let over = false;
    const end = (outcome: Outcome) => {
      if (over) return;
      over = true;
      limit.stop();
      flight.end(outcome.kind === 'block' ? outcome.bytes.length : undefined);
      if (outcome.kind === 'block') this.#claims.heard(claimedBytes, outcome.bytes.length);
      this.#record(outcome, flight.startedAtMs);
      events.ended(outcome);
    };
    const onBytes = (count: number) => {
      if (over) return;
      limit.came(count);
      flight.moved();
      this.heard();
    };
    // An async function, so that a source that throws at once ends like one that throws later.
    void (async () => this.source.getBlock(cid, { signal: controller.signal, priority, onBytes }))().then(
      (bytes) => over || end(this.#judge(cid, bytes)),
      (error: unknown) => end(this.#outcomeOf(error)),
    );
    return {
      get slow() {
        return flight.slow;
      },
      get moves() {
        return limit.moves;
      },
      cancel: () => {
        if (over) return;
        over = true;
        limit.stop();
        flight.end(undefined);
        controller.abort();
      },
    };
  }

  /**
   * Counts a request of any form as in flight until `end`, which takes the bytes of an answer that says something about
   * the path (`undefined` for others). Without `onSlow` it never counts as slow: a range takes as long as it is large.
   */
  begin(priority: Priority, expectedBytes: number | undefined, onSlow?: () => void): Flight {
    const startedAtMs = this.#clock.nowMs();
    const receivedBefore = this.#window.receivedBytes;
    let probe = this.health.failing;
    let slow = false;
    let moves = false;
    let stuck = false;
    const estimate = expectedBytes ?? this.#meanBlockBytes;
    const fillingBytes = expectedBytes ?? this.#window.usualBytes;
    this.#inFlight++;
    this.#expectedBytes += estimate;
    this.#fillingBytes += fillingBytes;
    if (probe) this.#probes++;
    this.#silence.begun();
    const stopProbe = () => {
      if (probe) this.#probes--;
      probe = false;
    };
    const setStuck = (isStuck: boolean) => {
      if (isStuck === stuck) return;
      stuck = isStuck;
      this.#stuck += isStuck ? 1 : -1;
      this.#fillingBytes += isStuck ? -fillingBytes : fillingBytes;
    };
    const stopTimer =
      onSlow &&
      this.#clock.schedule(this.#delay.slowAfterMs(this.#window.timeMsOf(this.#fillingBytes)), () => {
        slow = true;
        setStuck(!moves);
        // A silent probe must not keep the next one from finding the source alive.
        stopProbe();
        this.health.silent();
        onSlow();
      });
    return {
      startedAtMs,
      get slow() {
        return slow;
      },
      moved: () => {
        moves = true;
        setStuck(false);
      },
      end: (bytes) => {
        stopTimer?.();
        const saturated = this.#isFilled();
        if (bytes !== undefined) {
          const nowMs = this.#clock.nowMs();
          const delayMs = nowMs - startedAtMs;
          this.#delay.add(delayMs);
          this.#firstBytes.answered(nowMs, bytes, delayMs);
          const forReader = priority === 'demand';
          const inFlight = this.#inFlight;
          this.#window.answered({ nowMs, bytes, delayMs, receivedBefore, inFlight, saturated, forReader });
        }
        this.#inFlight--;
        this.#expectedBytes -= estimate;
        setStuck(false);
        this.#fillingBytes -= fillingBytes;
        stopProbe();
        this.#silence.ended();
      },
    };
  }

  /** Something of an answer came. */
  heard(): void {
    this.#silence.heard();
  }

  /** Books a verified block (of a range's answer). */
  received(bytes: number): void {
    this.#blocks++;
    this.#bytes += bytes;
    // The guess counts as one of them, so that the first answers outweigh it.
    this.#meanBlockBytes += (bytes - this.#meanBlockBytes) / Math.min(MEAN_OF_ANSWERS, this.#blocks + 1);
    this.#answered();
  }

  /** Books what the source did wrong in a request begun at `startedAtMs`: `lied` where it sent other bytes than asked for. */
  fault(kind: 'lied' | 'failed', message: string, startedAtMs: number): void {
    this.#errors++;
    this.#window.failed();
    if (kind === 'lied') this.health.lied(message);
    else this.health.failed(message, startedAtMs);
    this.#silence.heard();
    this.#tell();
  }

  /** To be called when nobody waits any more. Closes the source. */
  async close(): Promise<void> {
    this.#silence.close();
    await this.source.close();
  }

  get #filling(): number {
    return this.#inFlight - this.#stuck;
  }

  /** Whether the background has all of the path that is its own: half of one request more would find no room. */
  #isFilled(expectedBytes = this.#window.usualBytes): boolean {
    if (this.#filling === 0) return false;
    const { spareSize, spareBytes, isKnown } = this.#window;
    // Eight blocks of 1 MiB are a minute of a slow link, and whoever reads gets a ninth of it.
    if (!isKnown && this.#fillingBytes + expectedBytes / 2 > this.#firstBytes.limit) return true;
    return this.#filling >= spareSize || this.#fillingBytes + expectedBytes / 2 > spareBytes;
  }

  #judge(cid: CID, bytes: Uint8Array): Outcome {
    try {
      verifyBlock(cid, bytes);
      return { kind: 'block', bytes };
    } catch (error) {
      return { kind: 'lied', error: this.#wrap(error) };
    }
  }

  #outcomeOf(error: unknown): Outcome {
    const code = codeOf(error);
    if (code === 'BLOCK_UNAVAILABLE') return { kind: 'absent', error: this.#wrap(error) };
    if (code === 'BLOCK_TOO_LARGE' || code === 'BLOCK_CORRUPT') return { kind: 'lied', error: this.#wrap(error) };
    return { kind: 'failed', error: this.#wrap(error) };
  }

  #record(outcome: Outcome, startedAtMs: number): void {
    if (outcome.kind === 'block') this.received(outcome.bytes.length);
    else if (outcome.kind === 'absent') this.#answered();
    else if (outcome.kind === 'silent') this.health.silent();
    else this.fault(outcome.kind, outcome.error.message, startedAtMs);
  }

  #answered(): void {
    this.health.good();
    this.#silence.heard();
    this.#tell();
  }

  #tell(): void {
    this.#news.update(this.health, this.neverSeen);
  }

  get #noAnswer(): string {
    return `no answer within ${this.#attemptTimeoutMs / 1000} s`;
  }

  #wrap(error: unknown): CodedError {
    return error instanceof CodedError
      ? error
      : this.#error(error instanceof Error ? error.message : String(error), error);
  }

  #error(message: string, cause?: unknown): CodedError {
    return new CodedError('SOURCE_FAILED', message, { cause });
  }
}

function inSeconds(durationMs: number | null): number | null {
  return durationMs === null ? null : Math.round(durationMs / 1000);
}
