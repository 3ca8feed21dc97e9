/**
 * The search for as much under way as pays, from little: more each time that more paid, until it does not.
 *
 * Twice as much as the path would hold at the rate of before, which on a full link is little more than before; four times where all
 * of it came at once. What comes first after a change was sent before it, and what was sent at once comes one behind the other: so
 * where answers are late, they are judged once they come evenly.
 */
import type { AnswerRound } from './answer-round.ts';
import { BURST_SLOWDOWN, pays, type Step, slownessOf } from './path-step.ts';

/** What may be under way first: 170 ms of 100 Mbit/s. */
export const FIRST_BYTES = 2 * 1024 * 1024;
/** That more does not pay is believed of so many answers, or after so long: no longer is it kept under way. */
const SURE_ANSWERS = 16;
const MAX_DOUBT_MS = 1000;
/** What answers take of the least delay on a path that is full with what is under way first. */
const FULL_SLOWDOWN = 1.75;
/** And a link that takes longer over it, on which all take equally long, is full with that. */
const FULL_MS = 2000;
/** Where all of it came in so many times the least delay, it fills half a link at most. */
const QUICK_DELAYS = 1.33;
/** Of what the path would hold at that rate, what is tried next. */
const NEXT = { quick: 4, else: 2 } as const;
/** And of what was under way, at least. */
const LEAST_STEP = 1.25;

/** What may be under way from now on; or that the path was found to be full. */
export type Found =
  | { readonly bytes: number }
  | { readonly rate: number; readonly base: Step | undefined; readonly slowness: number };

export class PathSearch {
  /** The last that paid. */
  #base: Step | undefined;
  #slowness = 1;
  /** What comes by now was sent since the last change. */
  #isEven = false;
  #hasEverPaid: boolean;

  /** `isAgain`: it is known that the path holds much. */
  constructor(isAgain: boolean) {
    this.#hasEverPaid = isAgain;
  }

  /** Of `round`, in which `bytes` might be under way; undefined where more of it is to come first. */
  judge(round: AnswerRound, nowMs: number, bytes: number): Found | undefined {
    const step = { bytes: round.loadBytes, rate: round.growingRateAt(nowMs), slowdown: round.slowdown };
    const former = this.#base;
    // What fewer requests than might have been under way brought says nothing of what more would, nor that as many would do no harm.
    if (!round.wasFull && step.bytes < LEAST_STEP * (former?.bytes ?? bytes))
      return { bytes: Math.max(FIRST_BYTES, Math.min(bytes, LEAST_STEP * step.bytes)) };
    const tookMs = round.tookMs(nowMs);
    const wasEven = this.#isEven;
    const hasPaid = former ? pays(step, former) : step.slowdown <= FULL_SLOWDOWN || !wasEven;
    if (!wasEven && !(hasPaid && step.slowdown <= BURST_SLOWDOWN)) {
      this.#isEven = step.slowdown < Number.POSITIVE_INFINITY;
      return { bytes };
    }
    if (hasPaid) {
      this.#base = step;
      if (!former && tookMs > FULL_MS) return { bytes };
      if (former) this.#slowness = slownessOf(former);
      const mayBeQuick = !wasEven && (tookMs <= MAX_DOUBT_MS || this.#hasEverPaid);
      this.#hasEverPaid ||= former !== undefined;
      this.#isEven = false;
      const isQuick = mayBeQuick && tookMs <= QUICK_DELAYS * round.leastDelayMs;
      const held = (isQuick ? NEXT.quick : NEXT.else) * step.rate * round.loadOfByte * round.leastDelayMs;
      return { bytes: Math.max(held, LEAST_STEP * bytes, bytes + round.blockBytes) };
    }
    if (round.answers < SURE_ANSWERS && tookMs < MAX_DOUBT_MS) return undefined;
    return { rate: Math.max(step.rate, former?.rate ?? 0), base: former, slowness: this.#slowness };
  }

  /** A request failed: what was seen before it counts no more. */
  failed(): void {
    this.#base = undefined;
    this.#isEven = false;
  }
}
