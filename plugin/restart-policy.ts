/**
 * When the supervisor starts the next daemon, and when it gives up.
 *
 * Only daemons that died before they answered a request count: one that served for a day and was killed is replaced at
 * once, as often as it takes. One that dies on the way up would do so again, so the pauses grow, and after
 * MAX_FRUITLESS_STARTS the supervisor says why and stops, for the engine and the log to show it.
 */

/** 250 ms, doubled with each fruitless start … */
const FIRST_PAUSE_MS = 250;
/** … up to this. */
const LONGEST_PAUSE_MS = 10_000;
/** About a minute of trying in all. */
export const MAX_FRUITLESS_STARTS = 10;

export class RestartPolicy {
  #fruitless = 0;

  /** Milliseconds to wait before the next start, or `undefined` to give up. `answered`: the dead daemon had answered. */
  afterDeath(answered: boolean): number | undefined {
    if (answered) {
      this.#fruitless = 0;
      return 0;
    }
    this.#fruitless++;
    if (this.#fruitless >= MAX_FRUITLESS_STARTS) return undefined;
    return Math.min(FIRST_PAUSE_MS * 2 ** (this.#fruitless - 1), LONGEST_PAUSE_MS);
  }
}
