/**
 * How often the log says the same thing: what fails does so at each read, by the thousand, and nobody reads faster than a line
 * in half a minute.
 */

export const SAY_AGAIN_MS = 30_000;

export class SaidLately {
  #untilMs = Number.NEGATIVE_INFINITY;

  /** True where it is time to say it, which is then taken for said. `nowMs` by any one clock. */
  say(nowMs: number): boolean {
    if (nowMs < this.#untilMs) return false;
    this.#untilMs = nowMs + SAY_AGAIN_MS;
    return true;
  }
}
