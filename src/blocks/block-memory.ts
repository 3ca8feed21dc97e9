/**
 * The memory of large blocks, given back when the last one who keeps a block lets it go.
 *
 * A gigabyte of blocks is a few seconds' reading. Left to V8 they are garbage until it collects, which it does the more
 * seldom the more of them there are: most of the daemon's memory in a stream, and a third of its processor time.
 *
 * What always holds:
 * - Bytes of a block are valid in the turn in which they were given (what follows from a promise in that turn included), and
 *   after it for those who keep them (`keep`): the caches. Whoever needs some of them later has copied these.
 * - What was given back has no length any more: a mistake here is an error, and never another block's bytes.
 * - Only what `blockMemory` gave is ever given back; anything else is V8's to collect.
 *
 * Some of what was given back is used again, since the kernel takes as long to hand out a MiB as we do to copy it. It moves to
 * a buffer of its own for that, so that nobody's view of a block ever shows another one.
 */

/** Below this what is gained is not worth the counting: a directory of a thousand names has half as much. */
const LEAST_BYTES = 128 * 1024;

/** Of what is to be used again. A stream gives back and asks for blocks of one size, one by one or a few at a time. */
const MAX_SPARE_BYTES = 4 * 1024 * 1024;

/** How many keep it. */
const keepers = new WeakMap<ArrayBufferLike, number>();
let unkept: ArrayBuffer[] = [];
/** The latest last. */
const spare: ArrayBuffer[] = [];
let spareBytes = 0;

/** True of a block whose memory is counted; the C library gives the kernel back what is as large by itself. */
export function isLarge(sizeBytes: number): boolean {
  return sizeBytes >= LEAST_BYTES;
}

/** `sizeBytes` of anything, for one block. What nobody ever keeps is collected like everything else. */
export function blockMemory(sizeBytes: number): Uint8Array<ArrayBuffer> {
  if (!isLarge(sizeBytes)) return Buffer.allocUnsafeSlow(sizeBytes);
  const index = spare.findLastIndex(({ byteLength }) => byteLength === sizeBytes);
  const memory = index < 0 ? Buffer.allocUnsafeSlow(sizeBytes) : Buffer.from(takeSpare(index));
  keepers.set(memory.buffer, 0);
  return memory;
}

/** True where whoever keeps views of `bytes`, and does not say so, will find them empty. */
export function isLent({ buffer }: Uint8Array): boolean {
  return keepers.has(buffer);
}

/** One more keeps the block `bytes`; to be called in a turn in which they are valid. `letGo` must follow. */
export function keep({ buffer }: Uint8Array): void {
  const count = keepers.get(buffer);
  if (count !== undefined) keepers.set(buffer, count + 1);
}

/** One of those who keep the block does so no longer: where it was the last, the memory is given back after this turn. */
export function letGo({ buffer }: Uint8Array): void {
  const count = keepers.get(buffer);
  if (count === undefined) return;
  keepers.set(buffer, count - 1);
  if (count > 1) return;
  if (unkept.length === 0) setImmediate(giveBack);
  unkept.push(buffer as ArrayBuffer);
}

function giveBack(): void {
  const due = unkept;
  unkept = [];
  for (const memory of due) {
    // Whoever was given it in the turn of its leaving may keep it again.
    if (keepers.get(memory) !== 0) continue;
    keepers.delete(memory);
    spareBytes += memory.byteLength;
    spare.push(memory.transfer());
  }
  while (spareBytes > MAX_SPARE_BYTES) takeSpare(0).transfer(0);
}

function takeSpare(index: number): ArrayBuffer {
  const [memory] = spare.splice(index, 1) as [ArrayBuffer];
  spareBytes -= memory.byteLength;
  return memory;
}
