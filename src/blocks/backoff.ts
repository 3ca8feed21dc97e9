/**
 * How long to wait before asking again: doubling, with a bound, and with jitter so that what failed together does not
 * come back together.
 */

export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** The wait after failure number `failures` (from 1): between half and all of the doubled time. `random` is 0..1. */
export function backoffMs({ firstMs, maxMs }: Backoff, failures: number, random: () => number): number {
  // 2^30 milliseconds exceed any bound; the exponent is held so that the power stays finite.
  const wholeMs = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return wholeMs * (0.5 + 0.5 * random());
}
