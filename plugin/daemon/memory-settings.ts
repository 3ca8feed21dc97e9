/**
 * Blocks are memory outside V8's heap, a gigabyte of them a few seconds' reading. V8 by itself collects garbage whenever
 * some 32 MB of such memory came, be the heap as small as ours: every 80 ms of a stream at 1 Gbit/s, a third of the
 * processor time. Counted with the heap, they make a collection due when both together have grown by a part.
 */
import { setFlagsFromString } from 'node:v8';

/** To be called before the first block is read. */
export function countBlocksWithTheHeap(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}

/**
 * For the daemon's process. V8 lets garbage grow in proportion to the heap that it may have, by default a quarter of the
 * machine's memory, and blocks are counted: 300 MB of them on a machine of 24 GB, before it collects for the first time.
 * Large ones are given back without it (`src/blocks/block-memory.ts`), so that a collection is due seldom even when all has
 * grown by 20 per cent alone: a `find` over a million entries makes some thirty, a few milliseconds each. What counts
 * against the 2 GiB are objects: files that the kernel holds are none (`ContentNodes`), a directory is one of 400 bytes, of
 * which half a gigabyte may be held (`NodeBound`).
 */
export const DAEMON_MEMORY_FLAGS = [
  '--max-old-space-size=2048',
  '--heap-growing-percent=20',
  '--max-semi-space-size=4',
] as const;

/**
 * For the C library, which reads it when the process starts. It gives each thread memory of its own by default, and what one
 * gave back is of no use to another: forty threads that mostly wait, and V8's compiler in four of them, kept 30 MB so. And
 * it learns from the first block that is given back to keep what is as large among all that is small, where it leaves holes
 * for ever: with fixed bounds blocks and pages of nodes are the kernel's again at once, and of the rest 8 MiB are kept.
 */
export const DAEMON_MEMORY_ENVIRONMENT = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: String(128 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(8 * 1024 * 1024),
} as const;
