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
 * machine's memory: with blocks counted, 300 MB of them on a machine of 24 GB. Half as much heap as here, or half the young
 * generation, made twice the collections: a seventh of a stream's processor time for 50 MB less at its peak. What counts
 * against the 2 GiB are objects: files that the kernel holds are none (`ContentNodes`), a directory is one of 400
 * bytes, of which half a gigabyte may be held (`NodeBound`).
 */
export const DAEMON_MEMORY_FLAGS = ['--max-old-space-size=2048', '--max-semi-space-size=8'] as const;

/**
 * The C library gives each thread memory of its own by default, and what one gave back is of no use to another: forty
 * threads that mostly wait, and V8's compiler in four of them, kept 30 MB so. Read by glibc when the process starts.
 */
export const DAEMON_MEMORY_ENVIRONMENT = { MALLOC_ARENA_MAX: '1' } as const;
