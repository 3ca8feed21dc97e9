/**
 * Which requests a dead process left unanswered, for kernels that cannot send them again (before Linux 6.9): their
 * callers would wait for ever, so the next process answers each of them EIO.
 *
 * A small file, best in memory (/run), written in place: first the last requests that were read from the device, by the
 * thread that reads it, before anybody can have answered them; behind that the requests that wait, each in a slot of its
 * own as long as it does. What is found there may have been answered; the kernel then knows no such request, and says so.
 *
 * A write that fails costs a caller its answer after a crash, not now: the journal never fails a request.
 */
import { fstatSync, readSync, writeSync } from 'node:fs';
import { REQUEST_HEADER_BYTES } from './protocol.ts';

const SLOT_BYTES = 8;
/** More than the ring in memory can hold: whatever is not in here has been taken out of it, and answered or put to wait. */
const RECENT_SLOTS = 32_768;
/** Of struct fuse_in_header. */
const UNIQUE_OFFSET = 8;

const EMPTY = new Uint8Array(SLOT_BYTES);
/**
 * A thread that is killed between reading a request and noting it leaves one that stands nowhere. The kernel counts its
 * requests (FUSE_REQ_ID_STEP), so that one is among those that follow the latest noted.
 */
const UNNOTED = 512;
const UNIQUE_STEP = 2n;

/** The reading thread's part. */
export class RecentRequests {
  readonly #descriptor: number;
  #slot = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** `request` as the device gave it. */
  note(request: Uint8Array): void {
    if (request.length < REQUEST_HEADER_BYTES) return;
    put(this.#descriptor, this.#slot, request.subarray(UNIQUE_OFFSET, UNIQUE_OFFSET + SLOT_BYTES));
    this.#slot = (this.#slot + 1) % RECENT_SLOTS;
  }
}

/** The answering thread's part. */
export class WaitingRequests {
  readonly #descriptor: number;
  readonly #slots = new Map<bigint, number>();
  readonly #free: number[] = [];
  readonly #bytes = Buffer.alloc(SLOT_BYTES);
  #next = RECENT_SLOTS;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  add(unique: bigint): void {
    const slot = this.#free.pop() ?? this.#next++;
    this.#slots.set(unique, slot);
    this.#bytes.writeBigUInt64LE(unique);
    put(this.#descriptor, slot, this.#bytes);
  }

  remove(unique: bigint): void {
    const slot = this.#slots.get(unique);
    if (slot === undefined) return;
    this.#slots.delete(unique);
    this.#free.push(slot);
    put(this.#descriptor, slot, EMPTY);
  }
}

/** Every `unique` that is written in the journal, and those of which one may have been read and not written. */
export function uniquesIn(descriptor: number): bigint[] {
  const bytes = Buffer.alloc(fstatSync(descriptor).size & ~(SLOT_BYTES - 1));
  const length = readSync(descriptor, bytes, 0, bytes.length, 0);
  const uniques = new Set<bigint>();
  for (let at = 0; at + SLOT_BYTES <= length; at += SLOT_BYTES) uniques.add(bytes.readBigUInt64LE(at));
  uniques.delete(0n);
  let latest = 0n;
  for (const unique of uniques) if (unique > latest) latest = unique;
  for (let step = 1; step <= UNNOTED; step++) uniques.add(latest + BigInt(step) * UNIQUE_STEP);
  return [...uniques];
}

function put(descriptor: number, slot: number, bytes: Uint8Array): void {
  try {
    writeSync(descriptor, bytes, 0, SLOT_BYTES, slot * SLOT_BYTES);
  } catch {
    // See above.
  }
}
