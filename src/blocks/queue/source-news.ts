/**
 * What the log says of a source: one warning when it begins to fail, one line when it works again.
 *
 * One that comes and goes is said once in half a minute, with how often it failed since. Nothing is said of an optional
 * source that was never seen: nobody asked for it.
 */
import type { Logger } from '../../base/log.ts';
import { SaidLately } from '../../base/said-lately.ts';
import type { Clock } from '../clock.ts';
import type { SourceHealth } from './source-health.ts';

export class SourceNews {
  readonly #source: string;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  /** When it began to fail; undefined while it works. */
  #sinceMs: number | undefined;
  /** The log's last word is that it fails. */
  #said = false;
  readonly #saidLately = new SaidLately();
  /** Since the last warning. */
  #outages = 0;

  constructor(source: string, clock: Clock, logger: Logger | undefined) {
    this.#source = source;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** To be called after whatever may have changed how the source does; of one that works nothing is said. */
  update(health: SourceHealth, neverSeen: boolean): void {
    const { failingForMs } = health;
    if (failingForMs !== null) this.#fails(health, failingForMs, neverSeen);
    else if (this.#sinceMs !== undefined) this.#works(this.#sinceMs);
  }

  #fails({ lastError }: SourceHealth, forMs: number, neverSeen: boolean): void {
    const nowMs = this.#clock.nowMs();
    if (this.#sinceMs === undefined) this.#outages++;
    this.#sinceMs ??= nowMs - forMs;
    if (this.#said || neverSeen || !this.#saidLately.say(nowMs)) return;
    this.#said = true;
    const again = this.#outages > 1 ? { outages: this.#outages } : {};
    this.#outages = 0;
    this.#logger?.warn({ source: this.#source, error: lastError, ...again }, 'a source is failing');
  }

  #works(sinceMs: number): void {
    this.#sinceMs = undefined;
    if (!this.#said) return;
    this.#said = false;
    const failedForSeconds = Math.round((this.#clock.nowMs() - sinceMs) / 1000);
    this.#logger?.info({ source: this.#source, failedForSeconds }, 'a source works again');
  }
}
