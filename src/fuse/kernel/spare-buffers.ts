/**
 * Buffers that are used again: a walk over a million entries asks for 160 MB of listings, which would be as much garbage
 * outside V8's heap, where collecting it comes late.
 */

/** Listings under way at once that find one here. */
const MAX_SPARE = 4;
/** What a C library asks for at a time is 32 KiB; whoever asks for much more is given memory of its own. */
const SPARE_BYTES = 128 * 1024;

export class SpareBuffers {
  readonly #spare: Buffer[] = [];

  /** `sizeBytes` of anything, the caller's until it gives them back. */
  take(sizeBytes: number): Buffer {
    if (sizeBytes > SPARE_BYTES) return Buffer.allocUnsafeSlow(sizeBytes);
    const whole = this.#spare.pop() ?? Buffer.allocUnsafeSlow(SPARE_BYTES);
    return whole.subarray(0, sizeBytes);
  }

  /** What `take` gave, once, when nobody looks at it any more; what is never given back is garbage. */
  give(buffer: Buffer): void {
    if (buffer.buffer.byteLength !== SPARE_BYTES || this.#spare.length >= MAX_SPARE) return;
    this.#spare.push(Buffer.from(buffer.buffer));
  }
}
