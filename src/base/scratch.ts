/**
 * Memory that is used again and again for bytes that live no longer than the turn in which they were read, or than its owner says.
 *
 * A buffer of its own for each piece of a file costs more than reading it: its pages are faulted in, zeroed and given
 * back, and collecting the garbage takes a quarter of the processor.
 */
export class Scratch {
  /** Its owner waits for what was asked for before he resets it: another thread may write there. */
  readonly outlivesTurn: boolean;
  readonly #capacityBytes: number;
  #memory: Buffer | undefined;
  #used = 0;

  constructor(capacityBytes: number, { outlivesTurn = false } = {}) {
    this.outlivesTurn = outlivesTurn;
    this.#capacityBytes = capacityBytes;
  }

  /** Everything taken until now is free to be overwritten. */
  reset(): void {
    this.#used = 0;
  }

  /** `length` bytes of anything, valid until the next `reset`; memory of their own where there is no room. */
  take(length: number): Buffer {
    const from = this.#used;
    if (from + length > this.#capacityBytes) return Buffer.allocUnsafeSlow(length);
    this.#memory ??= Buffer.allocUnsafeSlow(this.#capacityBytes);
    this.#used = from + length;
    return this.#memory.subarray(from, from + length);
  }
}
