/**
 * Whether a source that owes answers says anything at all.
 *
 * A source that is frozen accepts requests and stays silent; nothing fails, so nothing else shows it. But silence alone is no
 * fault either: a Kubo node searches for an absent block until we hang up, and is well. So what counts is the time in which
 * anything was asked for and nobody was told anything, over all requests, those included that were given up after a moment;
 * and before that time is up the source is asked for what it must have at hand (`BlockSource.ping`), where that is possible;
 * so it is afterwards, now and then, while nobody asks it for anything (`RecoveryProbe`).
 *
 * It only watches: what a source that is silent is still asked for is for others to say.
 */
import { messageChain } from '../../base/errors.ts';
import type { BlockSource } from '../block-source.ts';
import type { Clock } from '../clock.ts';
import { RecoveryProbe } from './recovery-probe.ts';

export interface SilenceEvents {
  /** It owes answers, and has said nothing since `sinceMs` at the latest. Again each time that has lasted as long once more. */
  silent(sinceMs: number): void;
  /** It answered the ping, as whatever else it owes does not show. */
  alive(): void;
  /** It answered well while nobody asked it for anything: whatever it was, it is over. */
  recovered(): void;
  /** The ping, begun at `startedAtMs`, failed. */
  failed(message: string, startedAtMs: number): void;
}

/** The share of the bound that an answer to the ping may take: of 20 s five, a TLS handshake across the world and more. */
const PING_SHARE = 0.25;

export class SilenceWatch {
  readonly #source: BlockSource;
  readonly #clock: Clock;
  readonly #boundMs: number;
  readonly #events: SilenceEvents;
  readonly #probe: RecoveryProbe;
  /** It was found so, and has not answered since. */
  #down: 'silent' | 'failing' | undefined;
  /** Requests that are not answered. */
  #owing = 0;
  /** Of silence before `#sinceMs`; while nothing is owed no time passes. */
  #owedMs = 0;
  #sinceMs = 0;
  #stopTimer: (() => void) | undefined;
  #stopPing: (() => void) | undefined;
  #closed = false;

  constructor(source: BlockSource, clock: Clock, boundMs: number, events: SilenceEvents) {
    this.#source = source;
    this.#clock = clock;
    this.#boundMs = boundMs;
    this.#events = events;
    this.#probe = new RecoveryProbe(source, clock, boundMs * PING_SHARE, (isWell) => {
      // One that was silent to everybody is not so to us; one that failed them may be failing still.
      if (!isWell && this.#down === 'failing') {
        this.#probe.start();
        return;
      }
      this.answered();
      if (isWell) events.recovered();
      else events.alive();
    });
  }

  /** A request is on its way. */
  begun(): void {
    if (this.#owing++ > 0) return;
    this.#probe.stop();
    this.#sinceMs = this.#clock.nowMs();
    this.#goOn();
  }

  /** It is over, whether or not it was answered. */
  ended(): void {
    if (--this.#owing > 0) return;
    this.#owedMs += this.#clock.nowMs() - this.#sinceMs;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#probeIfIdle();
  }

  /** The source answered, be it that it has no such block. */
  answered(): void {
    this.#down = undefined;
    this.#probe.reset();
    this.heard();
  }

  /** It said something, be it an error. */
  heard(): void {
    this.#owedMs = 0;
    this.#sinceMs = this.#clock.nowMs();
    this.#stopPing?.();
  }

  /** Nobody is sent there any more but one at a time, and perhaps nobody comes. */
  failing(): void {
    this.#down = 'failing';
    this.#probeIfIdle();
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer?.();
    this.#stopPing?.();
    this.#probe.stop();
  }

  get #silentMs(): number {
    return this.#owedMs + (this.#owing > 0 ? this.#clock.nowMs() - this.#sinceMs : 0);
  }

  /** When it is asked, or else judged. */
  get #limitMs(): number {
    return this.#source.ping ? this.#boundMs * (1 - PING_SHARE) : this.#boundMs;
  }

  /** One timer, moved on by what was heard meanwhile. */
  #watch(): void {
    this.#stopTimer = this.#clock.schedule(Math.max(0, this.#limitMs - this.#silentMs), () => {
      if (this.#silentMs >= this.#limitMs && !this.#stopPing) this.#ask();
      // A ping under way ends by itself; only then may the next one begin.
      if (this.#stopPing) this.#stopTimer = undefined;
      else this.#watch();
    });
  }

  #ask(): void {
    if (!this.#source.ping) {
      this.#judge();
      return;
    }
    const controller = new AbortController();
    const startedAtMs = this.#clock.nowMs();
    const stopTimer = this.#clock.schedule(this.#boundMs * PING_SHARE, () => {
      end();
      this.#judge();
      this.#goOn();
    });
    const end = () => {
      stopTimer();
      this.#stopPing = undefined;
      controller.abort();
    };
    this.#stopPing = () => {
      end();
      this.#goOn();
    };
    this.#source.ping({ signal: controller.signal }).then(
      () => {
        if (controller.signal.aborted) return;
        this.answered();
        this.#events.alive();
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        this.heard();
        this.#events.failed(messageChain(error), startedAtMs);
      },
    );
  }

  #judge(): void {
    this.#owedMs = 0;
    this.#sinceMs = this.#clock.nowMs();
    this.#down ??= 'silent';
    this.#events.silent(this.#sinceMs - this.#boundMs);
    this.#probeIfIdle();
  }

  #probeIfIdle(): void {
    if (this.#down !== undefined && this.#owing === 0 && !this.#closed) this.#probe.start();
  }

  /** Watches, while anything is owed and nobody does. */
  #goOn(): void {
    if (this.#owing > 0 && !this.#stopTimer && !this.#closed) this.#watch();
  }
}
