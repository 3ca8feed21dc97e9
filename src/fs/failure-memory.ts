/**
 * How long a failed read is remembered, for the kernel's second try: it asks again at once for the first page of what
 * failed, and must not wait a second time-out for it.
 */

/** The second request comes within microseconds; this allows for a busy machine. */
const LEAST_MS = 100;
/** Where a thousand readers' time ran out together, the last of them gets to ask again only then. */
const MOST_MS = 1000;

/**
 * A tenth of the time that the read waited, within bounds: who waited a minute must not wait another because the machine
 * is busy; who was refused at once may ask again at once.
 */
export function failureMemoryMs(waitedMs: number): number {
  return Math.min(Math.max(waitedMs / 10, LEAST_MS), MOST_MS);
}
