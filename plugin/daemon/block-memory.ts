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
 * machine's memory: with blocks counted, 300 MB of them on a machine of 24 GB. Under 2 GiB a stream at 1 Gbit/s stays near
 * 110 MB; a daemon whose kernel holds a million nodes has 560 MB in all, so there is room for several. A young generation
 * of 8 MiB instead of 16 costs nothing measurable.
 */
export const DAEMON_MEMORY_FLAGS = ['--max-old-space-size=2048', '--max-semi-space-size=8'] as const;
