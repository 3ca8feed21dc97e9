/**
 * How much is written in one turn: as much as the disk takes in a second. A slow disk then ends its turns and is not taken
 * for a silent one, and others come in between.
 */

/** As it counts on the disk: some milliseconds of the event loop for small blocks. */
const MOST_BYTES = 4 * 1024 * 1024;
/** A block is written whole in any case. */
const LEAST_BYTES = 128 * 1024;
const TURN_MS = 1000;

export class WritePace {
  #bytes = MOST_BYTES;

  get bytesPerTurn(): number {
    return this.#bytes;
  }

  /** A turn wrote so much in that time. */
  wrote(bytes: number, durationMs: number): void {
    if (durationMs > TURN_MS) this.#bytes = Math.max(LEAST_BYTES, (bytes / durationMs) * TURN_MS);
    else this.#bytes = Math.min(MOST_BYTES, this.#bytes * 2);
  }
}
