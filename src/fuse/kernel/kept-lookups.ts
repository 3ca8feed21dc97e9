/** Up to here a count is kept as it is: most nodes are looked up once or twice. */
const EXACT = 16;

/**
 * What is kept of a count of look-ups: never less than it, so that no node ends while the kernel holds it, and exact for
 * small ones, so that nodes end when they should. From there on the next power of two: a volume's root, whose name is
 * looked up on every way through it, is then written down twenty times and not a million.
 */
export function keptLookups(lookups: number): number {
  return lookups <= EXACT ? lookups : 2 ** Math.ceil(Math.log2(lookups));
}
