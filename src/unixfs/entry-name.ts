/**
 * Which link names can be names of directory entries; the others are never shown, as if they were not there.
 */

/** NAME_MAX of Linux, in bytes. */
export const MAX_NAME_BYTES = 255;

const DOT = 0x2e;
const SLASH = 0x2f;

/** False for empty, `.`, `..`, over 255 bytes, and what has `/` or NUL in it. */
export function isEntryName(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length === 0 || length > MAX_NAME_BYTES) return false;
  if (bytes[start] === DOT && (length === 1 || (length === 2 && bytes[start + 1] === DOT))) return false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === SLASH || byte === 0) return false;
  }
  return true;
}
