/** Sends a want to a source, and takes what it brings from the prefetch rate, where that holds for it. */
import { PRIORITIES } from '../priority.ts';
import type { AttemptEvents } from './attempt.ts';
import { type Dispatcher, FIRST_PREFETCH_RANK } from './dispatcher.ts';
import type { SourceLane } from './source-lane.ts';
import type { Want } from './want.ts';

/** `events` as of `SourceLane.fetch`. A request that is cancelled gives back what it took of the rate. */
export function sendWant(want: Want, lane: SourceLane, dispatcher: Dispatcher, events: AttemptEvents): void {
  const priority = PRIORITIES[want.rank] ?? 'demand';
  const isBounded = want.rank >= FIRST_PREFETCH_RANK;
  const estimate = want.expectedBytes ?? lane.meanBlockBytes;
  const charge = (bytes: number) => {
    if (isBounded) dispatcher.charge(bytes);
  };
  charge(estimate);
  const attempt = lane.fetch(want.cid, priority, want.expectedBytes, {
    slow: () => events.slow(),
    ended: (outcome) => {
      charge((outcome.kind === 'block' ? outcome.bytes.length : 0) - estimate);
      events.ended(outcome);
    },
  });
  want.sent(lane, {
    get slow() {
      return attempt.slow;
    },
    get moves() {
      return attempt.moves;
    },
    cancel: () => {
      charge(-estimate);
      attempt.cancel();
    },
  });
}
