/**
 * How a source did lately, and what follows for the next request.
 *
 * Four ways to do badly, each with its own consequence:
 * - failing (refused, 500, cut off, several times in a row): nobody is sent there but one probe at a time, after a
 *   back-off, so that a source that is down costs little and is found again within seconds of its return. Where others
 *   serve meanwhile it is asked after them, and revisited now and then;
 * - lying (bytes that are not the block): asked only after all others, for a time that doubles with each lie;
 * - silent (slower than its usual, several times in a row): asked after the others, but never held back. A Kubo node that
 *   searches the network for an absent block is silent and well, and must go on serving everything else;
 * - mute (nothing at all for an attempt's whole time, whoever asked: `SilenceWatch`): shown as failing, for people. Nothing
 *   else follows from it, being silent already: whoever has no other source still asks it, as often as before.
 *
 * Any good answer ends failing and silence; a lie is forgotten with time only.
 */

import { type Backoff, backoffMs } from '../backoff.ts';
import type { Clock } from '../clock.ts';

/** One refused request may be about that block alone; three in a row are about the source. */
const FAILURES_IN_A_ROW = 3;
/** The same for silence. */
const SILENCES_IN_A_ROW = 3;
/** First 100 ms (a restart of the network), at most 2 s: a reader waits no longer for a source that is back. */
const PROBE: Backoff = { firstMs: 100, maxMs: 2000 };
/** Where others serve, a revisit costs its want a detour, a silent one even a wait. */
const REVISIT: Backoff = { firstMs: 10_000, maxMs: 60_000 };
/** A lie is a defect or an attack, neither of which ends in seconds. */
const LIE: Backoff = { firstMs: 60_000, maxMs: 3_600_000 };

export class SourceHealth {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;
  #failedProbes = 0;
  #silences = 0;
  #lies = 0;
  #mute = false;
  #distrustedUntilMs = Number.NEGATIVE_INFINITY;
  #probeAtMs = Number.NEGATIVE_INFINITY;
  #revisitAtMs = Number.NEGATIVE_INFINITY;
  #preferredAgainAtMs = Number.NEGATIVE_INFINITY;
  #answered = false;
  #lastError: string | null = null;
  #lastErrorAtMs: number | undefined;
  #badSinceMs: number | undefined;
  /** Why it is not trusted, for as long as it is not, and when that was. */
  #lie: { readonly message: string; readonly atMs: number } | undefined;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** While it fails for a lie alone, that: another error since may be over. */
  get lastError(): string | null {
    return this.#lieShown?.message ?? this.#lastError;
  }

  /** How long ago that was; null where there is none. */
  get lastErrorAgoMs(): number | null {
    const atMs = this.#lieShown?.atMs ?? this.#lastErrorAtMs;
    return atMs === undefined ? null : this.#clock.nowMs() - atMs;
  }

  /** How long `state` has been `failing`; null where it is not. */
  get failingForMs(): number | null {
    return this.state === 'failing' ? this.#clock.nowMs() - (this.#badSinceMs ?? this.#clock.nowMs()) : null;
  }

  get state(): 'unknown' | 'good' | 'failing' {
    if (this.failing || this.#distrusted || this.#mute) return 'failing';
    return this.#answered ? 'good' : 'unknown';
  }

  /** Down: probes alone, the next one in `probeInMs`. */
  get failing(): boolean {
    return this.#failures >= FAILURES_IN_A_ROW;
  }

  /** It answered, at whichever time. */
  get hasAnswered(): boolean {
    return this.#answered;
  }

  get probeInMs(): number {
    return Math.max(0, this.#probeAtMs - this.#clock.nowMs());
  }

  /** 0 for a source to prefer, more for one to ask later: 4 for a liar, 2 for one that fails, 1 for a silent one. */
  get demotion(): number {
    const nowMs = this.#clock.nowMs();
    const failing = this.failing && nowMs < this.#revisitAtMs;
    return (this.#distrusted ? 4 : 0) + (failing ? 2 : 0) + (nowMs < this.#preferredAgainAtMs ? 1 : 0);
  }

  /** It answered, be it that it has no such block. */
  good(): void {
    this.#failures = 0;
    this.#silences = 0;
    this.#mute = false;
    if (!this.#distrusted) this.#badSinceMs = undefined;
    this.#preferredAgainAtMs = Number.NEGATIVE_INFINITY;
    this.#answered = true;
  }

  /** A request begun at `startedAtMs` failed. Those that were on their way together are one failure of the source. */
  failed(message: string, startedAtMs: number): void {
    this.#erred(message);
    if (!this.failing) {
      if (++this.#failures < FAILURES_IN_A_ROW) return;
      this.#failedProbes = 0;
    } else if (startedAtMs < this.#probeAtMs) {
      return;
    }
    const nowMs = this.#clock.nowMs();
    this.#probeAtMs = nowMs + backoffMs(PROBE, ++this.#failedProbes, this.#random);
    this.#revisitAtMs = nowMs + backoffMs(REVISIT, this.#failedProbes, this.#random);
  }

  /** It sent other bytes than those asked for. What else it sent in the same time is one lie. */
  lied(message: string): void {
    // The time of an earlier lie may have run out with nothing good since.
    if (this.state !== 'failing') this.#badSinceMs = undefined;
    this.#erred(message);
    this.#lie = { message, atMs: this.#clock.nowMs() };
    if (this.#distrusted) return;
    this.#distrustedUntilMs = this.#clock.nowMs() + backoffMs(LIE, ++this.#lies, this.#random);
  }

  /** It is slower than its usual, or did not answer at all. */
  silent(): void {
    const nowMs = this.#clock.nowMs();
    if (++this.#silences < SILENCES_IN_A_ROW || nowMs < this.#preferredAgainAtMs) return;
    this.#preferredAgainAtMs = nowMs + backoffMs(REVISIT, 1, this.#random);
  }

  /** It has said nothing to anybody since `sinceMs`. */
  mute(message: string, sinceMs: number): void {
    this.#badSinceMs ??= sinceMs;
    this.#erred(message);
    this.#mute = true;
  }

  /** It answers, though nothing that was asked for: it is not mute. */
  alive(): void {
    this.#mute = false;
    if (this.state !== 'failing') this.#badSinceMs = undefined;
  }

  /** It answers again, as far as can be told without a request of anybody's. */
  recovered(): void {
    this.#failures = 0;
    this.alive();
  }

  /** What is wrong now began with the first error since the last good answer. */
  #erred(message: string): void {
    this.#lastError = message;
    this.#lastErrorAtMs = this.#clock.nowMs();
    this.#badSinceMs ??= this.#lastErrorAtMs;
  }

  get #lieShown() {
    return this.#distrusted && !this.failing && !this.#mute ? this.#lie : undefined;
  }

  get #distrusted(): boolean {
    return this.#clock.nowMs() < this.#distrustedUntilMs;
  }
}
