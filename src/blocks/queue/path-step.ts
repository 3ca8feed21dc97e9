/**
 * What so much under way brought, and the one rule that says whether more is worth it: of what it would bring on an empty path, more must
 * bring a part.
 *
 * On a link twice as much brings twice as much until it is full, and nothing after that. A Kubo node, or any whose processor is what
 * is slow, takes longer with each and brings a little more with each: where the rule says stop, is enough.
 */

/** Twice as much must bring a quarter more. */
const PAYS = 0.25;
/** What bursts and readers' blocks make of delays, also where nothing stands on the way all the time. */
export const BURST_SLOWDOWN = 1.25;

export interface Step {
  readonly bytes: number;
  /** In bytes a millisecond. */
  readonly rate: number;
  /** How many times the least delay answers took; infinite where that cannot be told. */
  readonly slowdown: number;
}

export function pays(more: Step, less: Step): boolean {
  return more.bytes > less.bytes && more.rate >= less.rate * (1 + PAYS * (more.bytes / less.bytes - 1));
}

/** How many times the least delay answers take of themselves, where more still paid: that was no queue. */
export function slownessOf({ slowdown }: Step): number {
  return slowdown < Number.POSITIVE_INFINITY ? Math.max(1, slowdown / BURST_SLOWDOWN) : 1;
}
