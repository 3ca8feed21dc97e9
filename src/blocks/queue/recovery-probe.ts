/**
 * Finds that a source which failed, or said nothing to anybody, answers again, where nobody asks it for anything: it would be
 * shown as failing until somebody does. It is asked for what it must have at hand (`BlockSource.ping`), seldom, and ever more so.
 */

import { type Backoff, backoffMs } from '../backoff.ts';
import type { BlockSource } from '../block-source.ts';
import type { Clock } from '../clock.ts';

/** The first after the time in which one is found silent; one in five minutes is nothing to anybody. */
const PAUSES: Backoff = { firstMs: 20_000, maxMs: 300_000 };

export class RecoveryProbe {
  readonly #source: BlockSource;
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onAnswer: (isWell: boolean) => void;
  #probes = 0;
  /** Ends the pause or the question under way. */
  #stop: (() => void) | undefined;

  /** An answer may take `limitMs`. `onAnswer` is told whether it was a good one, and may start it again. */
  constructor(source: BlockSource, clock: Clock, limitMs: number, onAnswer: (isWell: boolean) => void) {
    this.#source = source;
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onAnswer = onAnswer;
  }

  /** From now on, until it answers. Nothing where it is at it, or the source cannot be asked so. */
  start(): void {
    if (this.#stop || !this.#source.ping) return;
    this.#stop = this.#clock.schedule(
      backoffMs(PAUSES, this.#probes + 1, () => 1),
      () => this.#ask(),
    );
  }

  /** Others ask; a later `start` goes on with the longer pauses. */
  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** It answers: the next silence is another one. */
  reset(): void {
    this.stop();
    this.#probes = 0;
  }

  #ask(): void {
    this.#probes++;
    const controller = new AbortController();
    const stopTimer = this.#clock.schedule(this.#limitMs, () => goOn());
    const end = () => {
      stopTimer();
      this.#stop = undefined;
      controller.abort();
    };
    const goOn = () => {
      end();
      this.start();
    };
    this.#stop = end;
    // An async function, as its `ping` may throw at once.
    (async () => this.#source.ping?.({ signal: controller.signal }))().then(
      (isWell = false) => {
        if (controller.signal.aborted) return;
        end();
        this.#onAnswer(isWell);
      },
      () => controller.signal.aborted || goOn(),
    );
  }
}
