/**
 * How long a gateway that limits its clients asks to be left alone (RFC 9110, 10.2.3).
 *
 * Bounded, because a mistaken `Retry-After: 86400` must not cost a day of a source that is well in a minute, when a
 * reader may have no other.
 */
const MAX_QUIET_MS = 60_000;

/** Milliseconds of a `Retry-After`, in seconds or as a date; 0 where there is none or it makes no sense. */
export function retryAfterMs(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 0;
  const askedMs = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(askedMs) ? 0 : Math.min(Math.max(askedMs, 0), MAX_QUIET_MS);
}
