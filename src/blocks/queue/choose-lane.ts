/**
 * Which source a want is sent to next.
 */
import type { SourceLane } from './source-lane.ts';
import type { Want } from './want.ts';

/** Outweighs every demotion: a source that failed this very want is asked again when all others had their turn. */
const FAILED_IT_BEFORE = 8;

/**
 * The cheapest source that may still have the block and is not being asked: those that do well first, then the rest, so
 * that a reader gets what a failing or lying source has when nothing else is left. `undefined` where every source is
 * being asked or has said its last word; an optional one that is down and was never seen has nothing to say. A want that is under way already (a hedge) goes only where all is well.
 *
 * `lanes` are in order of cost.
 */
export function chooseLane(want: Want, lanes: readonly SourceLane[]): SourceLane | undefined {
  const hedge = want.attempts.size > 0;
  const isOver = (lane: SourceLane) => want.answers.get(lane)?.final || (lane.neverSeen && lane.health.failing);
  // Else each block that nobody has would wait for the next probe of what is not there.
  if (lanes.every(isOver)) return undefined;
  let best: SourceLane | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  for (const lane of lanes) {
    const answer = want.answers.get(lane);
    if (answer?.final || want.attempts.has(lane)) continue;
    if (hedge && (answer || !lane.isWell)) continue;
    const cost = lane.demotion + (answer ? FAILED_IT_BEFORE : 0);
    if (cost < bestCost) {
      best = lane;
      bestCost = cost;
    }
  }
  return best;
}
