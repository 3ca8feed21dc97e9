/**
 * Which source a want is sent to next.
 */
import type { SourceLane } from './source-lane.ts';
import type { Answer, Want } from './want.ts';

/**
 * For a source that failed this very want: less than for one that is down, at whose door a want may stand for a minute, since
 * one request at a time is made there.
 */
const FAILED_IT = 1.5;
/** Outweighs every demotion: a source that is down and failed it, or does not give it, is asked again when all others had their turn. */
const HAD_ITS_TURN = 8;
/** And of these one that is down or lies after the others, of which each gets its turn again. */
const LAST = 1e6;
/** A source that failed it so often, and others not, does not give it. */
const OFTEN = 3;
/** The demotions of one that is down, and of a liar. */
const DOWN = 2;
const LIAR = 4;

/**
 * The cheapest source that may still have the block and is not being asked: those that do well first, then the rest, so
 * that a reader gets what a failing or lying source has when nothing else is left. `undefined` where every source is
 * being asked or has said its last word; an optional one that is down and was never seen has nothing to say. A want that is
 * under way already (a hedge) goes to no liar, and to none that does not give it; of one that is down it is the probe.
 *
 * `lanes` are in order of cost.
 */
export function chooseLane(want: Want, lanes: readonly SourceLane[]): SourceLane | undefined {
  const hedge = want.attempts.size > 0;
  // Else each block that nobody has would wait for the next probe of what is not there.
  if (lanes.every((lane) => want.answers.get(lane)?.final || isAbsent(lane))) return undefined;
  let best: SourceLane | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  for (const lane of lanes) {
    const answer = want.answers.get(lane);
    if (answer?.final || want.attempts.has(lane)) continue;
    if (hedge && (lane.demotion >= LIAR || isAbsent(lane) || (answer && doesNotGiveIt(answer)))) continue;
    const cost = costOf(lane, answer);
    if (cost < bestCost) {
      best = lane;
      bestCost = cost;
    }
  }
  return best;
}

function costOf({ demotion, health }: SourceLane, answer: Answer | undefined): number {
  if (!answer) return demotion;
  if (!health.failing && !doesNotGiveIt(answer)) return demotion + FAILED_IT;
  return HAD_ITS_TURN + answer.order + (demotion >= DOWN ? LAST : 0);
}

/** By what it did beyond being down. */
function doesNotGiveIt({ silent, refusals }: Answer): boolean {
  return silent || refusals >= OFTEN;
}

function isAbsent({ neverSeen, health }: SourceLane): boolean {
  return neverSeen && health.failing;
}
