/**
 * One source as the want queue sees it: the jobs that wait for it, what is in flight there (`PathLoad`), how it does.
 *
 * What always holds:
 * - A failing source gets one probe at a time.
 * - One that says nothing to anybody is shown as failing (`SilenceWatch`), and asked as before.
 * - A request is over once: with the block, verified, with what became of it instead, or cancelled.
 */
import type { CID } from 'multiformats/cid';
import type { Logger } from '../../base/log.ts';
import type { BlockSource } from '../block-source.ts';
import type { Clock } from '../clock.ts';
import { PRIORITIES, type Priority } from '../priority.ts';
import type { SourceStatus } from '../source-status.ts';
import { type Attempt, type AttemptEvents, type Outcome, outcomeOf, outcomeOfError, sourceFailed } from './attempt.ts';
import { AttemptLimit } from './attempt-limit.ts';
import { JobList, type LaneJob } from './job-list.ts';
import { type Flight, PathLoad } from './path-load.ts';
import { RangePatience } from './range-patience.ts';
import { SilenceWatch } from './silence-watch.ts';
import { SourceHealth } from './source-health.ts';
import { SourceNews } from './source-news.ts';

const TOO_SLOW = 'sends too slowly for a block to come';

export class SourceLane {
  readonly source: BlockSource;
  readonly health: SourceHealth;
  readonly rangePatience: RangePatience;
  /** Waiting jobs by rank, first come first served. */
  readonly lists = PRIORITIES.map(() => new JobList<LaneJob>());
  readonly #clock: Clock;
  readonly #attemptTimeoutMs: number;
  readonly #load: PathLoad;
  readonly #silence: SilenceWatch;
  readonly #news: SourceNews;
  #probes = 0;
  #blocks = 0;
  #bytes = 0;
  #errors = 0;

  /** `logger` is told when the source begins to fail, and when it works again. */
  constructor(source: BlockSource, clock: Clock, random: () => number, attemptTimeoutMs: number, logger?: Logger) {
    this.source = source;
    this.#clock = clock;
    this.#attemptTimeoutMs = attemptTimeoutMs;
    this.health = new SourceHealth(clock, random);
    this.rangePatience = new RangePatience(clock, random);
    this.#load = new PathLoad(clock, () => this.waiting > 0);
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
      recovered: () => {
        this.health.recovered();
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

  /** Whether one may be sent at this moment. */
  get takesRanges(): boolean {
    return this.isWell && this.rangePatience.mayAsk;
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
    return this.#load.meanBlockBytes;
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
      inFlight: this.#load.inFlight,
      limit: this.#load.limit,
    };
  }

  /** Lets a job that waits nowhere wait here, behind those of its rank. */
  enqueue(job: LaneJob): void {
    this.lists[job.rank]?.push(job);
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
    if (this.health.failing) return this.#probes === 0 && this.health.probeInMs === 0;
    return this.#load.admits(rank, claimedBytes);
  }

  /** Asks for one block, and verifies it. `claimedBytes`: what it is said to measure, by whoever links to it. */
  fetch(cid: CID, priority: Priority, claimedBytes: number | undefined, events: AttemptEvents): Attempt {
    const controller = new AbortController();
    const expectedBytes = this.#load.claimed(claimedBytes);
    const flight = this.begin(priority, expectedBytes, () => events.slow());
    // After the flight: what was silent so long is judged before this request ends.
    const limit = new AttemptLimit(this.#clock, this.#attemptTimeoutMs, expectedBytes ?? this.meanBlockBytes, () => {
      controller.abort();
      end({ kind: 'silent', error: sourceFailed(limit.hasBegun ? TOO_SLOW : this.#noAnswer) });
    });
    let over = false;
    const end = (outcome: Outcome) => {
      if (over) return;
      over = true;
      limit.stop();
      flight.end(outcome.kind === 'block' ? outcome.bytes.length : undefined);
      if (outcome.kind === 'block') this.#load.heard(claimedBytes, outcome.bytes.length);
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
      (bytes) => over || end(outcomeOf(cid, bytes)),
      (error: unknown) => end(outcomeOfError(error)),
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

  /** Counts a request of any form as under way, as `PathLoad.begin` does; of a source that is down it is the probe. */
  begin(priority: Priority, expectedBytes: number | undefined, onSlow?: () => void): Flight {
    let probe = this.health.failing;
    const stopProbe = () => {
      if (probe) this.#probes--;
      probe = false;
    };
    if (probe) this.#probes++;
    this.#silence.begun();
    const ended = () => {
      stopProbe();
      this.#silence.ended();
    };
    if (!onSlow) return this.#load.begin(priority, expectedBytes, { ended });
    const slow = () => {
      // A silent probe must not keep the next one from finding the source alive.
      stopProbe();
      this.health.silent();
      onSlow();
    };
    return this.#load.begin(priority, expectedBytes, { slow, ended });
  }

  /** Something of an answer came. */
  heard(): void {
    this.#silence.heard();
  }

  /** Books a verified block (of a range's answer). */
  received(bytes: number): void {
    this.#blocks++;
    this.#bytes += bytes;
    this.#load.received(bytes);
    this.#answered();
  }

  /** Books what the source did wrong in a request begun at `startedAtMs`: `lied` where it sent other bytes than asked for. */
  fault(kind: 'lied' | 'failed', message: string, startedAtMs: number): void {
    this.#errors++;
    this.#load.failed();
    if (kind === 'lied') this.health.lied(message);
    else this.health.failed(message, startedAtMs);
    this.#silence.heard();
    if (this.health.failing) this.#silence.failing();
    this.#tell();
  }

  /** To be called when nobody waits any more. Closes the source. */
  async close(): Promise<void> {
    this.#silence.close();
    await this.source.close();
  }

  #record(outcome: Outcome, startedAtMs: number): void {
    if (outcome.kind === 'block') this.received(outcome.bytes.length);
    else if (outcome.kind === 'absent') this.#answered();
    else if (outcome.kind === 'silent') this.health.silent();
    else this.fault(outcome.kind, outcome.error.message, startedAtMs);
  }

  #answered(): void {
    this.health.good();
    this.#silence.answered();
    this.#tell();
  }

  #tell(): void {
    this.#news.update(this.health, this.neverSeen);
  }

  get #noAnswer(): string {
    return `no answer within ${this.#attemptTimeoutMs / 1000} s`;
  }
}

function inSeconds(durationMs: number | null): number | null {
  return durationMs === null ? null : Math.round(durationMs / 1000);
}
