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
