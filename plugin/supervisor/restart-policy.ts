/**
 * When the supervisor starts the next daemon, and when it gives up.
 *
 * Only daemons that died before they answered a request count: one that served for a day and was killed is replaced at
 * once, as often as it takes. One that dies on the way up would do so again, so the pauses grow, and after
 * `maxFruitlessStarts` the supervisor says why and stops, for the engine and the log to show it.
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

  constructor(limits: RestartLimits = LIMITS) {
    this.#limits = limits;
  }

  /** After a daemon that a disk held up: it says nothing about the next one, and does not count. */
  get longestPauseMs(): number {
    return this.#limits.longestPauseMs;
  }

  get maxFruitlessStarts(): number {
    return this.#limits.maxFruitlessStarts;
  }

  /** Milliseconds to wait before the next start, or `undefined` to give up. `answered`: the dead daemon had answered. */
  afterDeath(answered: boolean): number | undefined {
    if (answered) {
      this.#fruitless = 0;
      return 0;
    }
    this.#fruitless++;
    const { firstPauseMs, longestPauseMs, maxFruitlessStarts } = this.#limits;
    if (this.#fruitless >= maxFruitlessStarts) return undefined;
    return Math.min(firstPauseMs * 2 ** (this.#fruitless - 1), longestPauseMs);
  }
}
