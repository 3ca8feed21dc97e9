/**
 * When the supervisor starts the next daemon, and when it gives up.
 *
 * Only daemons that died before they answered a request count: one that served for a day and was killed is replaced at
 * once, as often as it takes. One that dies on the way up would do so again, so the pauses grow, and after
 * `maxFruitlessStarts` the supervisor says why and stops, for the engine and the log to show it.
 *
 * One that a disk kept from coming up does not count, since the next one may fare better, however many did not: the pauses
 * grow, and there is no end.
 */

export interface RestartLimits {
  /** Before the second start, doubled with each fruitless one … */
  readonly firstPauseMs: number;
  /** … up to this. */
  readonly longestPauseMs: number;
  readonly maxFruitlessStarts: number;
}

/** About a minute of trying in all. */
const LIMITS: RestartLimits = { firstPauseMs: 250, longestPauseMs: 10_000, maxFruitlessStarts: 10 };

export class RestartPolicy {
  readonly #limits: RestartLimits;
  #fruitless = 0;
  #hindered = 0;

  constructor(limits: RestartLimits = LIMITS) {
    this.#limits = limits;
  }

  get maxFruitlessStarts(): number {
    return this.#limits.maxFruitlessStarts;
  }

  /** Milliseconds to wait before the next start, or `undefined` to give up. `answered`: the dead daemon had answered. */
  afterDeath(answered: boolean): number | undefined {
    if (answered) {
      this.#fruitless = 0;
      this.#hindered = 0;
      return 0;
    }
    this.#fruitless++;
    if (this.#fruitless >= this.#limits.maxFruitlessStarts) return undefined;
    return this.#pauseMs(this.#fruitless);
  }

  /** After a daemon that something else than itself kept from coming up. */
  afterHindrance(): number {
    return this.#pauseMs(++this.#hindered);
  }

  #pauseMs(times: number): number {
    const { firstPauseMs, longestPauseMs } = this.#limits;
    return Math.min(firstPauseMs * 2 ** (times - 1), longestPauseMs);
  }
}
