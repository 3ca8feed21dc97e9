/**
 * Whether what links and profiles claim of blocks can be gone by: how much may be under way is decided before anything came,
 * and content that says a byte of each two megabytes would fill the link in front of everybody else.
 */

/** Answers for which no claim is believed, after a block that came larger than its own. */
const DISTRUSTED_ANSWERS = 256;
/** A block is a little larger than the part of a file that it holds. */
const MORE_BYTES = 4096;

export class SizeClaims {
  #distrusted = 0;

  /** The claim, where there is one to go by. */
  of(claimedBytes: number | undefined): number | undefined {
    return this.#distrusted > 0 ? undefined : claimedBytes;
  }

  /** A block came. */
  heard(claimedBytes: number | undefined, bytes: number): void {
    if (claimedBytes !== undefined && bytes > 2 * claimedBytes + MORE_BYTES) this.#distrusted = DISTRUSTED_ANSWERS;
    else if (this.#distrusted > 0) this.#distrusted--;
  }
}
